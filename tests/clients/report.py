"""How a client program tells what it found: one line a case, `ok name` or `FAIL name: why`."""

import traceback


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, body):
        """Runs `body`; it fails by raising."""
        try:
            body()
            self.passed += 1
            print(f"ok {name}", flush=True)
        except Exception:  # Whatever goes wrong is the case's result.
            self.failed += 1
            why = traceback.format_exc().strip().splitlines()
            print(f"FAIL {name}: {why[-1]} [{why[-3].strip() if len(why) > 2 else ''}]", flush=True)
