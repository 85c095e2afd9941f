from hypothesis import settings

# How long an example takes depends on what else the machine does: there is no deadline.
settings.register_profile("few", deadline=None, max_examples=10)
settings.register_profile("short", deadline=None, max_examples=50)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile("short")
