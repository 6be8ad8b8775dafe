"""What the console asks of the installation before it shows anything, and what it is made of.

Owns: the features registered at run time, with their modules; which platform has which feature; the shell's first
question; what pages report of errors and of how fast they were.
Never: holds a feature's own data or permissions (its product does), decides what a subject may do (iam does), or serves
the build's files (the API process does, before it asks any domain).
Invariants:
  - a module is served under the digest of its content alone, and a browser checks it again;
  - a registered feature never takes the name of one that was built in;
  - what is always there cannot be switched off.
"""

from ironworks.platform.console.model import BuiltFeatures, Shell, ShellKind, ShellTopic

__all__ = ["BuiltFeatures", "Shell", "ShellKind", "ShellTopic"]
