// c += a b, for square matrices, block by block.
#define ROWS 16     // rows of a block; search log_int(2, 512)
#define INNER 16    // products of a block that are summed at once; search log_int(2, 512)
#define COLUMNS 8   // columns of a block; search log_int(2, 512)

static int least(int x, int y) { return x < y ? x : y; }

void multiply(int n, const float *a, const float *b, float *c) {
    for (int i0 = 0; i0 < n; i0 += ROWS)
        for (int k0 = 0; k0 < n; k0 += INNER)
            for (int j0 = 0; j0 < n; j0 += COLUMNS)
                for (int i = i0; i < least(i0 + ROWS, n); i++)
                    for (int k = k0; k < least(k0 + INNER, n); k++)
                        for (int j = j0; j < least(j0 + COLUMNS, n); j++) c[i * n + j] += a[i * n + k] * b[k * n + j];
}
