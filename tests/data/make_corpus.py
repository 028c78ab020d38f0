"""Write corpus.jsonl: short Chinese documents from a few patterns, the same on every machine."""

import json
import random
from pathlib import Path

DOCUMENTS = 180
PEOPLE = ["小明", "小红", "奶奶", "王老师", "李医生", "弟弟", "邻居张叔叔", "船长"]
PLACES = ["河边", "学校", "山顶", "菜园", "图书馆", "海边", "村口", "火车站", "公园", "厨房"]
ANIMALS = ["一只花猫", "两只麻雀", "一头老牛", "一群白鹅", "一条小狗", "几条金鱼", "一只松鼠"]
WEATHER = ["下着细雨", "刮起大风", "阳光明媚", "飘着雪花", "雾气很浓", "月亮又圆又亮"]
TIMES = ["清晨", "中午", "傍晚", "半夜", "星期天", "春天", "暑假里", "去年冬天"]
ACTIONS = (
    "读了一本旧书 种下三棵桃树 画了一张地图 修好了那辆自行车 煮了一锅热汤 "
    "写信给远方的朋友 学会了游泳 数天上的星星 打扫院子 唱起家乡的歌"
).split()
FEELINGS = ["心里十分高兴", "觉得有些累", "忍不住笑了起来", "想起了从前的事", "什么也没有说"]
LESSONS = (
    "做事要有耐心。 帮助别人就是帮助自己。 知识要一点一点地积累。 "
    "看见的不一定是真的。 好天气不会天天都有。 朋友比礼物更重要。"
).split()


def sentence(rng: random.Random) -> str:
    """One sentence of a random pattern."""
    person, place, animal = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(ANIMALS)
    patterns = [
        f"{rng.choice(TIMES)}，{place}{rng.choice(WEATHER)}。",
        f"{person}在{place}{rng.choice(ACTIONS)}，{rng.choice(FEELINGS)}。",
        f"{person}看见{animal}从{place}跑过去，{rng.choice(FEELINGS)}。",
        f"“你为什么来{place}？”{person}问。“因为这里{rng.choice(WEATHER)}。”",
        f"从{place}到{rng.choice(PLACES)}要走{rng.randint(2, 90)}分钟，{person}每天走一次。",
        f"{animal}住在{place}，{person}常常去看它，有时还{rng.choice(ACTIONS)}。",
    ]
    return rng.choice(patterns)


def document(rng: random.Random) -> str:
    """A few sentences, and now and then what they teach."""
    text = "".join(sentence(rng) for _ in range(rng.randint(2, 7)))
    return text + rng.choice(LESSONS) if rng.random() < 0.4 else text


def main() -> None:
    """Write corpus.jsonl beside this file."""
    rng = random.Random(0)
    path = Path(__file__).with_name("corpus.jsonl")
    lines = [json.dumps({"text": document(rng)}, ensure_ascii=False) for _ in range(DOCUMENTS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
