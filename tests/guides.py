"""The guides of both languages, and what runs each command that they show."""


def both(name: str) -> tuple[str, str]:
    """A guide of docs/ in both languages."""
    return f"docs/{name}.md", f"docs/{name}_CN.md"


PAIRS = [
    ("README.md", "README_CN.md"),
    both("devices"),
    both("troubleshooting"),
    *(
        both(name)
        for name in (
            "own_text",
            "training",
            "code",
            "corpora",
            "cleaning",
            "deduplication",
            "data_at_scale",
            "tokenizers",
            "generation",
            "serving",
            "evaluation",
            "interop",
            "performance",
            "scaling",
            "runs",
            "chat",
            "preferences",
            "lora",
            "rewards",
            "poet",
            "lora",
        )
    ),
]
TROUBLESHOOTING = PAIRS[2]
GUIDES = [name for pair in PAIRS for name in pair]
READMES = PAIRS[0]

# Every command that a guide shows, and what runs it; here all of them are only parsed.
DATA, TRAIN, EVAL = (
    f"tests/e2e/test_{name}.py, on the debug recipe"
    for name in ("data_process", "pretrain", "eval_pretrain")
)
POST = "tests/e2e/test_post_train.py, on an untrained debug run"
MSRUN = "tests/training/test_parallel.py, on a small model"
TARGET = "the targets of the Makefile, which runs the three commands or the tests"
SCALE = "tests/e2e/test_data_at_scale.py, on the debug recipe"
EXPORT = "tests/e2e/test_export.py, on the debug recipe"
EXAMS = "tests/evaluation/exams/test_take.py, on small exams"
BEST_OF = "tests/evaluation/test_best_of.py, on the debug recipe"
POET = "tests/e2e/test_poet_model.py"
SERVE = "tests/serving/test_options.py, on the debug recipe"
UNTESTED = "nothing: needs what the tests do not have"
BARE = "test_a_bare_token_file_is_cut_in_two, below"
ONE_HOST = "msrun --worker_num=8 --local_worker_num=8 --join=True "
TWO_HOSTS = (
    "msrun --worker_num=16 --local_worker_num=8 --master_addr=192.168.0.1 --master_port=8118 "
    "--node_rank={0} --join=True --log_dir=out/baby-llama2-218m/msrun-{0} "
    "pretrain.py --config configs/baby-llama2-218m.yaml"
)
RUN_BY = {
    "make demo": TARGET,
    "make test": ".ci/run",
    "make test-all": TARGET,
    "make bench": TARGET,
    "source .venv/bin/activate": TARGET,
    "python data_process.py": DATA,
    "nohup python pretrain.py > out.log &": TRAIN,
    "python eval_pretrain.py": EVAL,
    "python eval_pretrain.py --prompt 春天来了 却说曹操引军": EVAL,
    "python eval_pretrain.py --run out/demo --interactive --eval.temperature 1.0 "
    "--eval.top_p 0.9": EVAL,
    "python data_process.py --config configs/debug.yaml": DATA,
    "python pretrain.py --config configs/debug.yaml": TRAIN,
    "python data_process.py --config configs/debug-sft.yaml": "tests/e2e/test_data_process_sft.py",
    "python post_train.py --config configs/debug-sft.yaml": POST,
    "python eval_pretrain.py --run out/debug-sft --chat": POST,
    "python eval_pretrain.py --run out/debug-sft": "tests/evaluation/test_trained_further.py",
    **dict.fromkeys(
        (
            "python data_process.py --config configs/debug-dpo.yaml",
            "python post_train.py --config configs/debug-dpo.yaml",
            "python post_train.py --config configs/dpo-idioms.yaml",
            "python eval_pretrain.py --run out/dpo-idioms",
            "python post_train.py --config configs/debug-reward.yaml",
            "python eval_pretrain.py --run out/debug-reward",
            "python data_process.py --config configs/reward-idioms.yaml",
            "python post_train.py --config configs/reward-idioms.yaml",
            "python eval_pretrain.py --run out/reward-idioms",
            "python -m rewards.score --reward model:out/debug-reward answers.jsonl "
            "--output scored.jsonl",
        ),
        "tests/e2e/test_preferences.py, on the debug recipes",
    ),
    "python data_process.py --config configs/debug-ppo.yaml": "tests/e2e/test_ppo.py",
    "python post_train.py --config configs/debug-ppo.yaml": "tests/e2e/test_ppo.py",
    "python eval_pretrain.py --run out/poet-grpo --best_of 8 --reward poem_rules": BEST_OF,
    "python eval_pretrain.py --best_of 8 --reward nonempty --prompt 春天来了": BEST_OF,
    "make chat": TARGET,
    "python post_train.py --config configs/debug-sft.yaml --name debug-lora --adapter.kind lora "
    "--train.learning_rate 1e-2": POST,
    "python eval_pretrain.py --run out/debug-lora --chat": POST,
    "python export.py --run out/debug-lora --format peft --output out/debug-lora/peft": (
        "tests/interop/hf/test_peft.py"
    ),
    "python data_process.py --config configs/longlora-demo.yaml": DATA,
    "python pretrain.py --config configs/longlora-demo.yaml": "tests/e2e/test_longlora.py",
    "python -m benchmarks.long_context out/demo out/longlora-demo --data data/novels": (
        "tests/benchmarks/test_long_context.py"
    ),
    "make poet": TARGET,
    "python eval_pretrain.py --run models/poet --chat": POET,
    "python serve.py --run models/poet --web": POET,
    "python post_train.py --config configs/poet-grpo.yaml --name poet-hacked "
    '--objective.beta 0.001 --objective.rewards "{poem_form: 0.2, poem_tones: 1.0, '
    'poem_rhyme: 1.0, poem_rules: 0.5, ended: 0.1}"': (
        "tests/training/feeds/test_rollout_rows.py, its rows"
    ),
    **{
        f"python -m evaluation.poem_report out/poet-base out/poet-sft out/{name} "
        "--tasks data/poet-titles": "tests/evaluation/test_poem_report.py, on a small run"
        for name in ("poet", "poet-hacked")
    },
    "python export.py --run out/poet-grpo --format run --dtype float16 --output out/poet": (
        "tests/interop/test_run_folder.py, on a small run"
    ),
    "python data_process.py --config mine.yaml": DATA,
    "python pretrain.py --config mine.yaml": TRAIN,
    "python eval_pretrain.py --run out/mine": EVAL,
    "python data_process.py --config docs/runs/24m-cpu/recipe.yaml": DATA,
    "nohup python pretrain.py --config docs/runs/24m-cpu/recipe.yaml > out.log &": TRAIN,
    "python eval_pretrain.py --run out/24m-cpu": EVAL,
    "mkdir -p data/chatglm2": BARE,
    "tail -c 20000000 corpus.bin > data/chatglm2/val_data.bin": BARE,
    "head -c -20000000 corpus.bin > data/chatglm2/pretrain_data.bin": BARE,
    "python pretrain.py --config configs/tiny-llama2-58m.yaml": TRAIN,
    "msrun --worker_num=2 --local_worker_num=2 --join=True --log_dir=out/two/msrun "
    "pretrain.py --name two --train.micro_batch 4": MSRUN,
    ONE_HOST + "--log_dir=out/baby-llama2-218m/msrun pretrain.py "
    "--config configs/baby-llama2-218m.yaml": MSRUN,
    TWO_HOSTS.format(0): UNTESTED,
    TWO_HOSTS.format(1): UNTESTED,
    "python3 -m venv .venv": TARGET,
    "python -m pip install -r requirements.txt": TARGET,
    'python -c "import mindspore; mindspore.run_check()"': UNTESTED,
    "python data_process.py --config mine.yaml --data.workers 4": SCALE,
    "python data_process.py --config mine.yaml --data.executor ray": SCALE,
    "python data_process.py --config mine.yaml --data.part 0/2": SCALE,
    "python data_process.py --config mine.yaml --data.part 1/2": SCALE,
    "python -m corpus.inspect data/mine/pretrain_data.bin --documents 3": SCALE,
    "python data_process.py --config mine.yaml --data.dedup near --data.dedup_threshold 0.7": (
        "tests/corpus/dedup/test_command.py"
    ),
    "python -m benchmarks.data dedup": "tests/benchmarks/test_data.py, on small text",
    "python -m benchmarks.cleaning": "tests/benchmarks/test_cleaning.py, on small text",
    "python -m benchmarks.tokenizers data/chatglm2-6b/tokenizer.model": (
        "tests/benchmarks/test_tokenizers.py, on small text"
    ),
    "python -m benchmarks.exams --questions 2": "tests/e2e/test_exams_benchmark.py",
    "python -m benchmarks.decode": "tests/benchmarks/test_decode.py, on a small model",
    "python -m tokenizer.extend data/chatglm2-6b/tokenizer.model data/mine/tokenizer.model "
    "--output data/extended.model": "tests/tokenizer/test_extend.py",
    "python -m tokenizer.compare --tokenizer chatglm=THUDM/chatglm2-6b mine=data/mine "
    "extended=data/extended.model --text held_out.txt": "tests/tokenizer/test_compare.py",
    "python eval_pretrain.py --eval.stride 64": "tests/evaluation/test_perplexity.py",
    "python eval_pretrain.py --eval.checkpoint best": EVAL,
    "python eval_pretrain.py --text novel=novel.txt essay.txt": EVAL,
    "python eval_pretrain.py --exam cmmlu --exam_data cmmlu --shots 5": EVAL,
    "python eval_pretrain.py --exam cmmlu ceval mmlu --exam_data exams --shots 0": EXAMS,
    "python eval_pretrain.py --exam cmmlu --exam_data cmmlu --subjects arts virology": EXAMS,
    "python eval_pretrain.py --compare out/demo out/mine": EVAL,
    "python eval_pretrain.py --run out/demo --prompt 春天来了 --eval.attempts 3 "
    "--eval.log_probs true": EVAL,
    "python serve.py --run out/demo --web": SERVE,
    "python serve.py --run out/sft --documents documents": "tests/serving/test_documents.py",
    "python -m corpus.idiom_documents": "tests/corpus/test_idiom_documents.py, on a few idioms",
    "python data_process.py --config configs/sft-passages.yaml": (
        "tests/corpus/test_example_file.py, on a few idioms"
    ),
    "python post_train.py --config configs/sft-passages.yaml": POST,
    "python eval_pretrain.py --run out/sft-passages": "tests/evaluation/test_trained_further.py",
    "python serve.py --run out/sft-passages --documents data/idiom-documents": (
        "tests/serving/test_documents.py"
    ),
    "python -m benchmarks.serve --run out/demo": "tests/serving/test_load.py",
    "python -m benchmarks.passages": "tests/benchmarks/test_passages.py, on a few idioms",
    "lm_eval --model local-completions --tasks cmmlu --model_args model=demo,"
    "base_url=http://127.0.0.1:8000/v1/completions,max_length=256": (
        "tests/serving/test_lm_eval.py"
    ),
    "python eval_pretrain.py --run out/demo --interactive": "tests/serving/test_terminal.py",
    "python eval_pretrain.py --run out/demo --web": "tests/serving/test_page.py",
    "python eval_pretrain.py --run out/demo --eval.weights int8": EXPORT,
    **{
        f"python export.py --run out/demo --format {name} --output out/demo/{name}": EXPORT
        for name in ("hf", "llama2c", "gguf", "mindformers")
    },
    "python export.py --run out/demo --format run --dtype float16 --output out/demo/small": (
        "tests/interop/test_run_folder.py, on a small run"
    ),
    "python export.py --run out/demo --format hf --dtype bfloat16 --output out/demo/hf-bf16": (
        "tests/interop/test_initial.py"
    ),
    "python pretrain.py --name further --train.init_from out/demo/hf": EXPORT,
    "python pretrain.py --config configs/tinyllama-1.1b-zh.yaml": UNTESTED,
    "python -m benchmarks.train_step": "tests/benchmarks/test_train_step.py, on a small shape",
    "python -m benchmarks.time_to_quality": "tests/benchmarks/test_time_to_quality.py, tiny",
    "python -m benchmarks.custom_matmul": "tests/benchmarks/test_custom_matmul.py, small",
    "python -m benchmarks.scaling": "tests/benchmarks/test_scaling.py, on a tiny network",
    "python export.py --run out/baby-llama2-218m --format mindformers --devices 16 "
    "--model_parallel 2 --pipeline_stages 2 --output out/baby-llama2-218m/cluster": EXPORT,
    "python pretrain.py --plan": TRAIN,
    'python pretrain.py --train.loggers "[tensorboard]"': TRAIN,
    "python -m rewards.poem.held_out data/raw/tang_song_poems.jsonl real.jsonl --form 七言绝句": (
        "tests/rewards/test_score.py, on a few poems"
    ),
    "python -m rewards.score --reward poem --training data/raw/tang_song_poems.jsonl real.jsonl": (
        "tests/rewards/test_score.py, on a few poems"
    ),
    "python -m evaluation.answer_file out/poet-sft answers.jsonl --tasks data/poet-titles "
    "--limit 500": "tests/evaluation/test_answers.py, on a small model",
    "python pretrain.py --train.max_restarts 3": "tests/e2e/test_kills.py",
}
PLAIN_COMMANDS = ("lm_eval", "source", "mkdir", "tail", "head", "python3 -m venv", "python -c")
