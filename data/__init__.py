"""Real data and toys, readers for common formats, splits, standardisation and minibatches."""

from data.batches import batches, epoch_order, gather, room
from data.cifar_file import read_cifar10
from data.csv_file import read_csv
from data.dataset import Dataset, from_arrays
from data.digits import load_digits
from data.errors import DataError, printable
from data.idx_file import read_idx
from data.labels import Label, decode_labels, encode_labels
from data.loading import FORMATS, SETS, load, read_features
from data.npy_file import read_npy, read_npz
from data.rows import MappedRows
from data.split import Split, split
from data.standardize import Standardize
from data.toys import blobs, circle, moons, spiral, xor

__all__ = [
    "FORMATS",
    "SETS",
    "DataError",
    "Dataset",
    "Label",
    "MappedRows",
    "Split",
    "Standardize",
    "batches",
    "blobs",
    "circle",
    "decode_labels",
    "encode_labels",
    "epoch_order",
    "from_arrays",
    "gather",
    "load",
    "load_digits",
    "moons",
    "printable",
    "read_cifar10",
    "read_csv",
    "read_features",
    "read_idx",
    "read_npy",
    "read_npz",
    "room",
    "spiral",
    "split",
    "xor",
]
