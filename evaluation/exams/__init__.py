"""Multiple-choice examinations: C-Eval, CMMLU, MMLU and idioms, with chance level and interval."""
