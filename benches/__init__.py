"""Side-by-side benchmarks: actloss_rs against the libraries that compute the same things.

    python -m benches                     every row, one thread and all, with the peers that are installed
    python -m benches --rows softmax      the rows whose name contains "softmax"
    python -m benches --threads 1         one thread only
    python -m benches --simd avx2         no instructions beyond AVX2, for the peers too
    python -m benches report RECORD       tables of a record again; `--readme` puts them there
    python -m benches latency             small calls, in calls of np.exp
    python -m benches scaling             at which sizes threads pay
    python -m benches kernels             every kernel at every SIMD level, against the committed record

A row (`rows.py`) is an operation on a shape and a dtype. A peer (`peers/`) says how it computes an operation,
in its best form: compiled, into a preallocated output where it can. All contenders of a row take turns in one
process, round after round, so that whatever disturbs the machine disturbs all; the fastest round counts.
"""
