
class A:
    pass


class B:
    pass


Constant = 3
