def test_each_line_says_who_lost_to_whom(dedup):
    first, copy = (
        "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
        "床前明月光，疑是地上霜。举头望明月",
    )
    run = dedup(["春天来了，万物复苏。", first, first + "\n", copy * 4, copy * 4 + "！"], size=2)
    by_removed = {
        (line["removed"]["shard"], line["removed"]["index"]): line for line in run.report()
    }
    assert by_removed["texts-2", 0] == {
        "removed": {"shard": "texts-2", "index": 0, "begins": first + "\n"},
        "kept": {"shard": "texts-0", "index": 1, "begins": first},
        "similarity": 1.0,
    }
    near = by_removed["texts-4", 0]
    assert near["kept"] == {"shard": "texts-2", "index": 1, "begins": (copy * 4)[:40]}
    assert 0.6 <= near["similarity"] < 1
