"""An experiment on disk: configuration, folder, manifest, events, log and the reducer from events to state."""
