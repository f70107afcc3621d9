import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import DataError, decode_labels, encode_labels


@given(
    st.one_of(
        st.lists(st.integers(-(2**62), 2**62), min_size=2),
        st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), min_size=2),
    ).filter(lambda values: len(set(values)) > 1)
)
def test_labels_come_back(values):
    y, labels = encode_labels(values)
    assert y.dtype == np.int64
    assert set(y.tolist()) == set(range(len(labels)))
    assert list(labels) == sorted(set(values))
    assert decode_labels(y, labels) == values


def test_whole_floats_are_integers():
    y, labels = encode_labels(np.array([2.0, -1.0, 2.0]))
    assert labels == (-1, 2)
    assert y.tolist() == [1, 0, 1]


def test_known_labels_keep_their_indices():
    y, labels = encode_labels(["cat"], labels=["dog", "cat", "ape"])
    assert y.tolist() == [1]
    assert labels == ("dog", "cat", "ape")


@pytest.mark.parametrize(
    ("values", "labels", "match"),
    [
        ([3, 3, 3], None, "at least 2 classes are needed, got only '3'"),
        ([], None, "got only none"),
        ([0.5, 1.0], None, "label 0.5 of sample 0 is not an integer"),
        ([1.0, np.nan], None, "label nan of sample 1"),
        ([1j, 2j], None, "must be integers or strings"),
        ([[1, 2]], None, "one per sample"),
        (["cat", "cot"], ["dog", "cat"], "label 'cot' of sample 1 .* did you mean 'cat'"),
        ([0, 11], list(range(10)), "label '11' of sample 1 is not one of the 10 known"),
        (["a"], ["a", "a"], "name a class twice"),
    ],
)
def test_refused(values, labels, match):
    with pytest.raises(DataError, match=match):
        encode_labels(np.array(values), labels)


def test_strings_in_a_list_are_encoded_as_in_an_array():
    values = ["b", "a", "ä", "b", "B", "", "a b"]
    from_list, from_array = encode_labels(values), encode_labels(np.array(values))
    assert from_list[0].tolist() == from_array[0].tolist() == [4, 2, 5, 4, 1, 0, 3]
    assert from_list[1] == from_array[1] == ("", "B", "a", "a b", "b", "ä")
    assert encode_labels(["b", "a"], labels=["b", "c", "a"])[0].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (["a", "b" * 1001], "longer than 1000 characters: 'bbb"),
        (np.array(["a", "b" * 1001]), "more than 1000 characters"),
        (["a", "\ud800"], r"the label '\\ud800' is no text"),
        (np.array(["a", "\ud800"]), r"the label '\\ud800' is no text"),
        (np.array([97, 0x110000], np.uint32).view("<U1"), "code points that do not exist"),
        (list(range(2**15 + 1)), "more than 32,768 different labels"),
        ([str(i) for i in range(2**15 + 1)], "more than 32,768 different labels"),
    ],
)
def test_labels_that_no_data_set_has(values, match):
    with pytest.raises(DataError, match=match):
        encode_labels(values)
