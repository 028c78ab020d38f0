from common.tables import format_table


def test_first_column_left_others_right():
    rows = [("name", "n", "share"), ("a", "1,000", "5 %"), ("longer", "2", "10 %")]
    assert format_table(rows) == (
        "name        n  share\na       1,000    5 %\nlonger      2   10 %"
    )
