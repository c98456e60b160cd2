"""The torch side: workers, the training loop and what it needs. Nothing else imports torch."""
