"""
`make release`: what a release consists of, made from the commit alone, and the same bits each time.

The sdist holds the commit's files; the wheel is built from the sdist; the SBOM lists what the lock pins; SHA256SUMS
names all of them. Times in the archives are those of SOURCE_DATE_EPOCH, by default the commit's
(reproducible-builds.org/specs/source-date-epoch).
"""
