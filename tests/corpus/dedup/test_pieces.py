from corpus.dedup.pieces import jaccard, normalised, pieces


def test_spacing_width_and_case_make_no_difference():
    assert (
        normalised("Ａｂｃ　１２，你好\n 世界!")
        == normalised("abc12,你好世界！")
        == "abc12,你好世界!"
    )


def test_punctuation_and_characters_do():
    assert normalised("1.5") != normalised("15")
    assert normalised("云") != normalised("雲")


def test_pieces_are_runs_of_five_characters():
    assert pieces("床前明月光疑") == {"床前明月光", "前明月光疑"}
    assert pieces("明月光光") == set()


def test_jaccard():
    assert jaccard({"a", "b", "c"}, {"b", "c", "d"}) == 0.5
    assert jaccard({"a"}, {"a"}) == 1
    assert jaccard(set(), set()) == 0


def test_one_edited_character_changes_five_pieces():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))
    edited = text[:50] + "。" + text[51:]
    assert jaccard(pieces(text), pieces(edited)) == (96 - 5) / (96 + 5)
