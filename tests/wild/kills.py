"""Kills the main job at random moments again and again, and compares what it ends with to an undisturbed run.

    python tests/wild/kills.py digits|texts --kills N [--seed S]

A study is begun, killed (SIGKILL) after a random while, and the same command given again, until it ends; then another
is begun, until there have been so many kills. Exit status 1, and the folder kept, where a byte of a dump or a number of
the summary differs.
"""

import argparse
import csv
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from command import results  # noqa: E402
from tiny_tokenizer import write_tokenizer  # noqa: E402


def texts(folder: Path) -> list[str]:
    """The command's words for a small study of texts, of which one word tells the class."""
    write_tokenizer(folder / "tokenizer")
    rng = random.Random(0)
    (folder / "own").mkdir()
    for split, count in (("train", 400), ("test", 200)):
        with (folder / "own" / f"{split}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "label"])
            for i in range(count):
                words = [rng.choice(["the", "a", "film", "plot", "was", "not"]) for _ in range(6)]
                words.insert(rng.randrange(6), ("dull", "fine")[i % 2])
                rows.writerow([" ".join(words), i % 2])
    small = [f"--{role}.roberta.{what}" for role in ("teacher", "student") for what in ("layers", "units")]
    sizes = [word for option, size in zip(small, ("2", "32") * 2, strict=True) for word in (option, size)]
    more = ["--length", "48", "--epochs", "6", "--batch-size", "16", "--seeds", "2", "--label-noise", "0.1"]
    return ["--dataset", str(folder / "own"), "--tokenizer", str(folder / "tokenizer"), *sizes, *more]


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["digits", "texts"])
    parser.add_argument("--kills", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    words = ["digits"] if options.study == "digits" else texts(folder)
    words += ["--checkpoint-seconds", "1", "--cache-dir", str(folder / "cache")]

    def start(workdir: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "distill_jax", *words, "--workdir", str(workdir)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    seconds = 0.0
    for _ in range(2):  # the second with the programs of the first, as those that are killed
        shutil.rmtree(folder / "whole", ignore_errors=True)
        begun = time.monotonic()
        process = start(folder / "whole")
        said = process.communicate()[0]
        assert process.returncode == 0, said
        seconds = time.monotonic() - begun
    whole = results(folder / "whole")
    print(f"undisturbed: {seconds:.0f} s, {len(whole) - 1} files of dumps", flush=True)
    rng, kills, studies = random.Random(options.seed), 0, 0
    while kills < options.kills:
        workdir, before = folder / f"killed-{studies}", kills
        while True:
            process = start(workdir)
            try:
                said = process.communicate(timeout=rng.uniform(0, max(seconds / 3, 20)))[0]
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                continue
            break
        found = results(workdir) if process.returncode == 0 else {}
        if found != whole:
            unlike = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
            print(f"{workdir}: after {kills - before} kills another result: {unlike[:5]}\n{said}", flush=True)
            return 1
        studies += 1
        print(f"study {studies}: equal bytes after {kills - before} kills; {kills} in all", flush=True)
        shutil.rmtree(workdir)
    print(f"{options.study}: {studies} studies, {kills} kills, equal bytes every time")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
