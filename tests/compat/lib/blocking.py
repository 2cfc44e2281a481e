"""blockbuster, with which aiohttp and anyio look for calls that would hold a loop up."""

import functools

import blockbuster

# It lets asyncio's own functions make these calls, and knows them by the names of their
# files. bide makes them in the same places.
CALLS_OF_BIDE = {
    "os.read": ("bide/_subprocess.py", {"subprocess_exec", "subprocess_shell"}),
    "os.sendfile": ("bide/_sendfile.py", {"_sock_sendfile_native"}),
    "os.stat": ("bide/_unix.py", {"create_unix_server", "remove"}),
    "os.unlink": ("bide/_unix.py", {"remove"}),
}


def let_bide_do_as_asyncio():
    """From here on blockbuster lets bide do what it lets asyncio do."""
    make = blockbuster.BlockBuster.__init__

    @functools.wraps(make)
    def make_with_bide(self, *arguments, **options):
        make(self, *arguments, **options)
        for call, (file, functions) in CALLS_OF_BIDE.items():
            self.functions[call].can_block_in(file, functions)

    blockbuster.BlockBuster.__init__ = make_with_bide
