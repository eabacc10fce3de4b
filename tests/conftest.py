from hypothesis import settings

# How long one example takes is the machine's affair: no test judges time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
