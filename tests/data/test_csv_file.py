import contextlib
import csv
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import DataError, decode_labels, read_csv
from data.csv_file import read_csv_features

IRIS = "length,width,species\n5.1,3.5,setosa\n6.2,2.9,virginica\n4.7,3.2,setosa\n"


@pytest.fixture
def write(tmp_path):
    def written(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def test_header_and_string_labels(write):
    iris = read_csv(write(IRIS))
    assert iris.x.tolist() == [[5.1, 3.5], [6.2, 2.9], [4.7, 3.2]]
    assert iris.labels == ("setosa", "virginica")
    assert iris.y.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("1,2,7\n3,4,-8\n", {}),
        ("1,2,7\r\n3,4,-8", {}),
        ("\n1,2,7\n\n3,4,-8\n\n", {}),
        ("\ufeff1,2,7\n3,4,-8\n", {}),
        ("a,b,c\n1,2,7\n3,4,-8\n", {}),
        ("0,1,2\n1,2,7\n3,4,-8\n", {"header": True}),
        ("1;2;7\n3;4;-8\n", {"delimiter": ";"}),
        ("1\t2\t7\n3\t4\t-8\n", {"delimiter": "\t"}),
        ("7,1,2\n-8,3,4\n", {"target": 0}),
        ("1,7,2\n3,-8,4\n", {"target": -2}),
        ("a, b ,c\n1,7,2\n3,-8,4\n", {"target": "b"}),
        ('"1", 2 ," 7"\n3,"4",-8 \n', {}),
        (b"\xff\xfe" + "1,2,7\n3,4,-8\n".encode("utf-16-le"), {"encoding": "utf-16"}),
        (gzip.compress(b"1,2,7\n3,4,-8\n"), {}),
    ],
)
def test_variants_of_one_table(write, content, options):
    table = read_csv(write(content), **options)
    assert table.x.tolist() == [[1, 2], [3, 4]]
    assert decode_labels(table.y, table.labels) == [7, -8]


def test_regression(write):
    table = read_csv(write("1,0.5\n2,-1e3\n"), regression=True)
    assert table.y.tolist() == [[0.5], [-1000.0]]
    assert table.labels is None


def test_labels_of_another_file(write):
    table = read_csv(write("1,b\n2,b\n"), labels=["c", "b"])
    assert table.y.tolist() == [1, 1]
    with pytest.raises(DataError, match="'a' of sample 1 is not one of the 2 known"):
        read_csv(write("1,b\n2,a\n"), labels=["c", "b"])


def test_features_alone(write):
    expected = [[5.1, 3.5], [6.2, 2.9], [4.7, 3.2]]
    assert read_csv_features(write(IRIS), target="species").tolist() == expected
    bare = "5.1,3.5\n6.2,2.9\n4.7,3.2\n"
    assert read_csv_features(write(bare), target="species").tolist() == expected
    named = "length,width\n" + bare
    assert read_csv_features(write(named), target="species").tolist() == expected


@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9),
        ),
        min_size=2,
        max_size=9,
    ),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_was_written_is_read(tmp_path_factory, rows, delimiter):
    path = tmp_path_factory.getbasetemp() / "round.csv"
    labels = ["l" + "".join(label.split()) for _, label in rows[:-1]] + ["last"]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["a", "b", "c", "label"])
        for (x, _), label in zip(rows, labels, strict=True):
            writer.writerow([*map(repr, x), label])
    table = read_csv(path, "label", delimiter=delimiter)
    assert table.x.tolist() == [x for x, _ in rows]
    assert decode_labels(table.y, table.labels) == labels


@pytest.mark.parametrize(
    ("content", "options", "match"),
    [
        ("", {}, "is empty"),
        ("\n\n", {}, "holds no lines"),
        ("a,b\n", {}, "a header but no samples"),
        ("1,2,a\n3,b\n", {}, "line 2: 2 cells, but the first line has 3"),
        ("a,b,c\n\n1,2,7\n3,4,8,9\n", {}, "line 4: 4 cells, but the first line has 3"),
        ("1,2,a\n3,x,b\n", {}, "line 2, column 2: a feature must be a number, got 'x'"),
        ("u,v,w\n1,2,a\n3,1_0,b\n", {}, r"line 3, column 2 \('v'\): .* got '1_0'"),
        ("1,2,a\n,4,b\n", {}, "line 2, column 1: the cell is empty"),
        ("1,2,a\n3,4,\n", {}, "line 2, column 3: the cell is empty"),
        ("1,2,a\n3,nan,b\n", {}, "line 2, column 2: a feature is nan; every value must be finite"),
        ("a,b,c\n1,2,0\n0,3,inf\n", {"target": "a"}, r"line 3, column 3 \('c'\): .* is inf"),
        ("1,1e999,a\n3,4,b\n", {}, "line 1, column 2: a feature is inf"),
        ("1,2,a\n3,4,a\n", {}, "labels of at least 2 classes are needed, got only 'a'"),
        ("1,2.5\n3,4.5\n", {}, "decimal numbers, such as '2.5'"),
        ("1,a\n3,b\n", {"regression": True}, "line 1, column 2: the target must be a number"),
        ("1,nan\n3,1\n", {"regression": True}, "y: row 0, column 0 is nan"),
        ("x,species\n1,a\n", {"target": "specis"}, "no column 'specis' .* mean 'species'"),
        ("x,x,y\n1,2,a\n", {"target": "x"}, "2 columns are called 'x'"),
        ("1,a\n", {"target": "x", "header": False}, "without a header no column is called 'x'"),
        ("1,a\n", {"target": 2}, r"no column '2'; there are 2, 0 … 1"),
        ("1,a\n", {"target": 1.5}, "a column's name or position"),
        ("1;2;a\n3;4;b\n", {}, "no column beside the target; is the delimiter right"),
        ("1,a\n", {"delimiter": ",,"}, "delimiter must be one character"),
        ("1,a\n", {"encoding": "klingon"}, "unknown encoding 'klingon'"),
        (b"1,caf\xe9\n2,b\n", {}, "byte 0xe9 is not utf-8"),
        ('1,"a\n', {}, "line 1: unexpected end of data"),
        ("1," + "9" * 200_000 + "\n", {}, "line 1: field larger than field limit"),
        ("1," * 3_000_000, {}, "a line is longer than"),
        ("1,2,a\n" * 100, {"max_bytes": 500}, "the limit is 500"),
        ("1,2,a\n" * 3000, {"max_bytes": 20_000}, "needs 32,768 bytes in memory"),
        ("1,a\n2," + "b" * 1001, {}, "a label is longer than 1000 characters"),
        (gzip.compress(b"1,2,a\n" * 1000)[:-10], {}, "truncated or damaged"),
        (b"\x1f\x8b garbage", {}, "truncated or damaged"),
        ("1,2,\x1b[31m\n3,4,b\n", {"regression": True}, r"got '\\x1b\[31m'"),
    ],
)
def test_refused(write, content, options, match):
    with pytest.raises(DataError, match=match) as caught:
        read_csv(write(content), **options)
    assert str(caught.value).isprintable()


def test_gz_bomb_stops_at_the_limit(write):
    bomb = gzip.compress(b"1,2,3\n" * 2_000_000)
    with pytest.raises(DataError, match="the limit is 100,000"):
        read_csv(write(bomb), max_bytes=100_000)


@given(st.binary(max_size=80) | st.text('0123456789.,;\n"abe-+_\r\0 \x1b', max_size=80))
def test_broken_files_raise_nothing_else(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "broken.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for options in ({}, {"regression": True}, {"target": "a"}, {"header": True, "target": 0}):
        with contextlib.suppress(DataError):
            read_csv(path, **options)
