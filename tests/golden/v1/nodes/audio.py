class AudioChunkerNode:
    pass


class TextCollectorNode:
    pass
