import numpy as np

from evaluation.preferences import PairScore, calibrate, calibration_rows, pair_rows


def test_calibration_counts_each_pair_where_the_model_is_so_sure():
    sure = np.array([0.55, 0.65, 0.66, 0.97, 0.999])
    margins = np.log(sure / (1 - sure))
    margins[1] *= -1
    found = calibrate(np.append(margins, 100.0).astype(np.float32))
    assert [(c.low, c.right, c.pairs) for c in found] == [(0.5, 1, 1), (0.6, 1, 2), (0.95, 3, 3)]
    assert np.isclose(found[1].stated, 0.655)
    assert calibration_rows(found)[2] == ["0.6 to 0.7", "2", "65.5%", "50.0% (9.5 to 90.5)"]


def test_accuracy_has_an_interval():
    rows = pair_rows([PairScore("chain", 80, 100, 1.5)])
    assert rows[1] == ["chain", "100", "80.0% (71.1 to 86.7)", "1.500"]
