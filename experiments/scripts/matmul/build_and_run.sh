set -e
cc -O3 -Wall -o matmul main.c multiply.c
./matmul
