class B:
    pass


class Lonely:
    pass
