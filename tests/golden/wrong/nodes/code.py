import dataclasses
from os import path as where

class A:
    pass


class B:
    pass


Constant = 3
