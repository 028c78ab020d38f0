"""The names of the formats to write; a command line knows them before MindSpore is imported."""

# Format: the module that registers it. A new format is a new module and a line here.
FORMAT_MODULES = {
    "hf": "interop.hf.format",
    "llama2c": "interop.llama2c.format",
    "llama2c-q8": "interop.llama2c.q8",
    "gguf": "interop.gguf.format",
    "mindformers": "interop.mindformers.format",
    "peft": "interop.hf.peft",
    "run": "interop.run_folder",
}
