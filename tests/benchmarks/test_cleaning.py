import benchmarks.cleaning as cleaning


def test_command_prints_sources_and_rules(monkeypatch, capsys):
    news = ["国务院总理今天在北京会见了来访的外国客人，双方进行了友好的谈话。"] * 3
    sources = {"news": lambda: iter(news), "reviews": lambda: iter(["很好", "加QQ 12345678 聊"])}
    monkeypatch.setattr(cleaning, "SOURCES", sources)
    cleaning.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| news | 3 | 100.0% | 100.0% | ")
    assert lines[3].startswith("| reviews | 2 | 0.0% | 0.0% | ")
    (length,) = (line for line in lines if line.startswith("length min=10 "))
    assert length.split()[2:5] == ["5", "0", "2"]
