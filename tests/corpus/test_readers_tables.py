import gzip

import pyarrow as pa
import pytest
from pyarrow import parquet

import corpus.readers.csv_rows as csv_rows


@pytest.fixture
def parquet_file(tmp_path):
    """The bytes of a Parquet file: `parquet_file({"text": [...]})`."""

    def make(columns, **options):
        path = tmp_path / "made.parquet"
        parquet.write_table(pa.table(columns), path, **options)
        return path.read_bytes()

    return make


def test_parquet(read_raw, parquet_file):
    texts = [f"第{i}行" for i in range(1000)]
    content = parquet_file({"id": range(1000), "text": texts}, row_group_size=300)
    documents, file = read_raw("parquet", content)
    assert documents == texts
    assert (file.skipped, file.position, file.damaged) == (0, len(content), False)


def test_parquet_fields_that_are_null_or_no_text(read_raw, parquet_file):
    columns = {"q": ["问", None, "问"], "a": ["答", None, None], "n": [1, 2, 3]}
    content = parquet_file(columns)
    documents, file = read_raw("parquet", content, field=["q", "a"])
    assert (documents, file.skipped) == (["问\n答", "问"], 1)
    documents, file = read_raw("parquet", content, field="n")
    assert (documents, file.skipped) == ([], 3)


def test_parquet_without_the_column_or_a_row(read_raw, parquet_file, caplog):
    documents, file = read_raw("parquet", parquet_file({"q": ["问"], "a": ["答"]}))
    assert (documents, file.damaged) == ([], True)
    assert "no column text among q, a; name one of these as field in data.sources" in caplog.text
    documents, file = read_raw("parquet", parquet_file({"text": pa.array([], pa.string())}))
    assert (documents, file.damaged) == ([], False)
    assert "the table has no row" in caplog.text


def test_damaged_parquet(read_raw, parquet_file, caplog):
    texts = [f"第{i}行" * 50 for i in range(1000)]
    content = parquet_file({"text": texts}, row_group_size=100, compression="zstd")
    harmed = content[: len(content) // 2] + bytes(500) + content[len(content) // 2 + 500 :]
    for raw in (b"", b"PAR1", content[:-20], content[: len(content) // 2]):
        documents, file = read_raw("parquet", raw)
        assert (documents, file.damaged) == ([], True)
    documents, file = read_raw("parquet", harmed)
    assert file.damaged
    assert documents == texts[: len(documents)] and len(documents) >= 300
    assert caplog.text.count("cannot be read past row ") == 5


@pytest.mark.parametrize(("reader", "comma"), [("csv", ","), ("tsv", "\t")])
def test_csv(read_raw, reader, comma):
    rows = ["id,text", '1,"一，""二"""', '2,"第一行\n第二行\r\n"', "", "3,四"]
    content = "\r\n".join(rows).replace(",", comma)
    documents, file = read_raw(reader, b"\xef\xbb\xbf" + content.encode())
    assert documents == ['一，"二"', "第一行\n第二行\n", "四"]
    assert (file.skipped, file.damaged) == (0, False)
    gz = gzip.compress(content.encode())
    assert read_raw(reader, gz, name="raw.csv.gz", field=["id", "text"])[0][2] == "3\n四"


def test_broken_rows_of_csv_are_skipped(read_raw, caplog):
    content = "id,text\n1,一\n2,二,more\n3\n4,四\n" + '5,"no end\n6,六\nid,text\n'
    documents, file = read_raw("csv", content)
    assert (documents, file.skipped) == (["一", "四", '"no end', "六"], 3)
    assert "raw:8 skipped: the header is repeated" in caplog.text
    assert "raw:3 skipped: the row has 3 cells, the header 2" in caplog.text


def test_csv_nul_and_column_that_is_not_there(read_raw, caplog):
    assert read_raw("csv", "id,text\n1,一\0二\n")[0] == ["一二"]
    documents, file = read_raw("csv", "id,content\n1,一\n")
    assert (documents, file.damaged) == ([], True)
    assert "no column text among id, content" in caplog.text
    assert read_raw("csv", "")[0] == []
    assert read_raw("csv", "\ntext\n一\n")[0] == ["一"]


def test_big_cells_of_csv(read_raw, monkeypatch, caplog):
    long = "字" * 300_000
    assert read_raw("csv", f'text\n"{long}"\n')[0] == [long]
    monkeypatch.setattr(csv_rows, "MAX_CELL_CHARS", 1000)
    assert read_raw("csv", '"' + "x" * 2000)[1].skipped == 1
    content = "text\na\n" + '"' + "x" * 900 + "\n" + "y" * 900 + "\n" + "z" * 2000 + "\nb\n"
    documents, file = read_raw("csv", content)
    assert (documents, file.skipped) == (["a", '"' + "x" * 900, "y" * 900, "b"], 1)
    assert "raw:5 skipped: malformed row: a cell is too long" in caplog.text


DAYS = [f"第{i}天，小明在河边读书，然后回家。" for i in range(60)]


@pytest.mark.parametrize(("reader", "comma"), [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("later", ["", '50|"引"', '50|"引|文"', '50|""', '50|"一\n二"'])
def test_a_quotation_mark_without_its_pair_costs_no_other_row(read_raw, reader, comma, later):
    rows = [f"{i}|{day}" for i, day in enumerate(DAYS)]
    rows[10] = f'10|"{DAYS[10]}'
    texts = [*DAYS[:10], '"' + DAYS[10], *DAYS[11:]]
    if later:
        rows[50] = later
        texts[50] = later[3:].strip('"').replace("|", comma)
    content = "\n".join(["id|text", *rows]).replace("|", comma)
    documents, file = read_raw(reader, content)
    assert (documents, file.skipped) == (texts, 0)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (r'"他说\"你好\"，走了"', '他说"你好"，走了'),
        (r'"他说：\"你好\""', '他说："你好"'),
        (r'"一\"，' + '\n二"', '一"，\n二'),
        (r'"C:\书\"', r"C:\书" + "\\"),
        ('"他说"你好"，走了"', '他说"你好"，走了'),
        ('5" 屏', '5" 屏'),
        ('""', ""),
    ],
)
def test_quotation_marks_within_a_cell(read_raw, cell, text):
    for reader, comma in (("csv", ","), ("tsv", "\t")):
        content = f'id,text\n1,一\n2,{cell}\n3,三\n4,"四"\n'.replace(",", comma)
        documents, file = read_raw(reader, content)
        assert (documents, file.skipped) == (["一", text, "三", "四"], 0)


def test_rows_taken_into_one_are_known_by_their_number_of_cells(read_raw):
    content = 'id,text,n\n1,"一,2\n2,二,3\n3,三,"\n4,四,5\n'
    assert read_raw("csv", content)[0] == ['"一', "二", "三", "四"]
    documents, file = read_raw("csv", 'id,text\n1,"a, b,\nc",d\n2,二\n')
    assert (documents, file.skipped) == (["二"], 1)
