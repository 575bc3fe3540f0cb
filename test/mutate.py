"""A copy of the source in which one line at a time is changed, for syncs.py and mutants.py."""
import contextlib
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


class Tree:
    def __init__(self, folder):
        self.source, self.build_folder = folder / "tree", folder / "build"
        self.source.mkdir(parents=True, exist_ok=True)
        for name in run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines():
            if (ROOT / name).is_file() and not name.startswith(("docs", "bench")):
                self._take(ROOT / name, self.source / name)
        if not (self.build_folder / "build.ninja").exists():
            made = run("meson", "setup", self.build_folder, self.source, "--buildtype=debugoptimized")
            if made.returncode != 0:
                raise SystemExit(made.stdout[-3000:])

    @staticmethod
    def _take(path, to):
        """With a new time where it differs: what was built of a changed line is built again."""
        if to.exists() and to.read_bytes() == path.read_bytes():
            return
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)

    def build(self, targets):
        built = run("ninja", "-C", self.build_folder, *targets)
        if built.returncode != 0:
            raise SystemExit(built.stdout[-3000:])

    @contextlib.contextmanager
    def changed(self, path, line, instead):
        """The one line of src/`path`, or each of a list, is another one meanwhile."""
        source = self.source / "src" / path
        text = changed = source.read_text()
        for one, other in zip([line], [instead]) if isinstance(line, str) else zip(line, instead):
            if text.count(one) != 1:
                raise LookupError(f"src/{path} has this line {text.count(one)} times: {one}")
            changed = changed.replace(one, other)
        source.write_text(changed)
        try:
            yield
        finally:
            source.write_text(text)
