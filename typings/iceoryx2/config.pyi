from . import FileName, Path

class Global:
    prefix: FileName
    root_path: Path

class Config:
    global_cfg: Global

def default() -> Config: ...
