// Multiplies two matrices of whole numbers several times; prints the CPU time of one product and how many sums are wrong.
#include <stdio.h>
#include <time.h>
#define N 512
#define TIMES 12

void multiply(int n, const float *a, const float *b, float *c);
static float a[N * N], b[N * N], c[N * N];

int main(void) {
    double best = 1e9;
    for (int i = 0; i < N * N; i++) a[i] = i % 7, b[i] = i % 5;
    for (int time = 0; time < TIMES; time++) {
        for (int i = 0; i < N * N; i++) c[i] = 0;
        clock_t start = clock();
        multiply(N, a, b, c);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        best = seconds < best ? seconds : best;
    }
    int errors = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j += 7) {
            float sum = 0;
            for (int k = 0; k < N; k++) sum += a[i * N + k] * b[k * N + j];
            errors += sum != c[i * N + j];
        }
    printf("errors: %d\nseconds: %.6f\n", errors, best);
}
