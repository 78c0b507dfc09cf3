from . import FileName, Path

class Node:
    cleanup_dead_nodes_on_creation: bool
    cleanup_dead_nodes_on_destruction: bool

class Global:
    node: Node
    prefix: FileName
    root_path: Path

class Config:
    global_cfg: Global

def default() -> Config: ...
