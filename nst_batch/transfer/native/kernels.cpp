// The arithmetic of a pass through VGG-19 on a CPU, in float32, as plain C functions for ctypes.
//
// Features are NHWC: [batch][height][width][channels], channels a multiple of CHUNK. Every function gives the same bits
// for any number of threads: work is divided by what it is, never by who does it, and nothing is summed across threads.
//
// 3x3 convolutions are Winograd's F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
// CVPR 2016): 36 multiplications make 16 results that take 144 directly. Tiles are transformed, multiplied and
// transformed back a few at a time, so that what is between stays in the cache; ReLU, its gradient and the bias are
// applied while values are in registers. Rounding errors are some 1e-6 of a feature map's norm.

#include <omp.h>

#include <algorithm>
#include <cstdint>

#if defined(__AVX512F__)
constexpr int LANES = 16, VECTORS = 4, ROWS = 6;  // 24 of 32 registers hold sums
#elif defined(__AVX__)
constexpr int LANES = 8, VECTORS = 2, ROWS = 6;  // 12 of 16
#else
constexpr int LANES = 4, VECTORS = 4, ROWS = 6;  // NEON: 24 of 32
#endif
constexpr int CHUNK = LANES * VECTORS;  // channels that one call of product makes
constexpr int TILE = 4, WINDOW = 6, POINTS = 36;
constexpr int64_t GROUP = 96;  // positions whose features stay in the first cache
constexpr int64_t PARTS = 16;  // of the positions of a Gram matrix, each summed by itself

typedef float Vec __attribute__((vector_size(LANES * 4)));
typedef double Wide __attribute__((vector_size(LANES * 8)));
typedef float Unaligned __attribute__((vector_size(LANES * 4), aligned(4)));

static inline Vec load(const float* from) { return *(const Unaligned*)from; }
static inline void store(float* to, Vec value) { *(Unaligned*)to = value; }
static inline Vec all(float value) { return value - Vec{}; }  // a sum would not be folded, for the sake of -0
static inline Vec relu(Vec value) { return value < Vec{} ? Vec{} : value; }  // NaN stays NaN
static inline Vec where_positive(Vec gate, Vec value) { return gate > Vec{} ? value : Vec{}; }
static inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

// ---------------------------------------------------------------------------------------------------------------------
// out[r][n] = (out[r][n]) + sum over i of a[r * ar + i * ai] * b[i * bi + n], for R rows and CHUNK columns

template <int R>
static inline void product(const float* a, int64_t ar, int64_t ai, const float* b, int64_t bi, int64_t depth, float* out,
                           int64_t outr, bool add) {
    Vec sum[R][VECTORS];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < VECTORS; v++) sum[r][v] = add ? load(out + r * outr + v * LANES) : Vec{};
    for (int64_t i = 0; i < depth; i++) {
        Vec right[VECTORS];
        for (int v = 0; v < VECTORS; v++) right[v] = load(b + i * bi + v * LANES);
        for (int r = 0; r < R; r++) {
            const Vec left = all(a[r * ar + i * ai]);
            for (int v = 0; v < VECTORS; v++) sum[r][v] += left * right[v];
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < VECTORS; v++) store(out + r * outr + v * LANES, sum[r][v]);
}

static inline void few(int64_t rows, const float* a, int64_t ar, int64_t ai, const float* b, int64_t bi, int64_t depth,
                       float* out, int64_t outr, bool add) {
    switch (rows) {
        case 1: return product<1>(a, ar, ai, b, bi, depth, out, outr, add);
        case 2: return product<2>(a, ar, ai, b, bi, depth, out, outr, add);
        case 3: return product<3>(a, ar, ai, b, bi, depth, out, outr, add);
        case 4: return product<4>(a, ar, ai, b, bi, depth, out, outr, add);
        case 5: return product<5>(a, ar, ai, b, bi, depth, out, outr, add);
        default: return product<ROWS>(a, ar, ai, b, bi, depth, out, outr, add);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Winograd's transforms of one line: of 6 inputs, and of 6 products back to 4 outputs

static inline void to_products(const Vec* d, int step, Vec* out) {
    const Vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const Vec a = d4 - 4 * d2, b = d3 - 4 * d1, c = d4 - d2, e = 2 * (d3 - d1);
    out[0] = 4 * d0 - 5 * d2 + d4;
    out[step] = a + b;
    out[2 * step] = a - b;
    out[3 * step] = c + e;
    out[4 * step] = c - e;
    out[5 * step] = 4 * d1 - 5 * d3 + d5;
}

static inline void to_outputs(const Vec* m, int step, Vec* out) {
    const Vec a = m[step] + m[2 * step], b = m[step] - m[2 * step];
    const Vec c = m[3 * step] + m[4 * step], d = m[3 * step] - m[4 * step];
    out[0] = m[0] + a + c;
    out[step] = b + 2 * d;
    out[2 * step] = a + 4 * c;
    out[3 * step] = b + 8 * d + m[5 * step];
}

struct Tile {  // where a tile of the output is: its picture, its first row and column
    int64_t picture, y, x;
    Tile(int64_t index, int64_t down, int64_t across)
        : picture(index / (down * across)), y(index / across % down * TILE), x(index % across * TILE) {}
};

// The 6x6 window around a tile, all channels, to v[point][channel]; beyond the edge are zeros. The output's first row is
// where row `first` of x is.
static inline void gather(const float* x, int64_t h, int64_t w, int64_t channels, int64_t first, Tile tile, bool rectify,
                          float* v, int64_t point) {
    const float* base = x + tile.picture * h * w * channels;
    const int64_t top = first + tile.y - 1, left = tile.x - 1;
    const bool inside = top >= 0 && left >= 0 && top + WINDOW <= h && left + WINDOW <= w;
    for (int64_t c = 0; c < channels; c += LANES) {
        Vec d[POINTS], e[POINTS];
        for (int i = 0; i < WINDOW; i++)
            for (int j = 0; j < WINDOW; j++) {
                const int64_t y = top + i, z = left + j;
                const bool there = inside || (y >= 0 && y < h && z >= 0 && z < w);
                d[i * WINDOW + j] = there ? load(base + (y * w + z) * channels + c) : Vec{};
            }
        if (rectify)
            for (int i = 0; i < POINTS; i++) d[i] = relu(d[i]);
        for (int j = 0; j < WINDOW; j++) to_products(d + j, WINDOW, e + j);
        for (int i = 0; i < WINDOW; i++) to_products(e + i * WINDOW, 1, d + i * WINDOW);
        for (int i = 0; i < POINTS; i++) store(v + i * point + c, d[i]);
    }
}

// One tile of CHUNK channels from m[point][channel] to out.
static inline void scatter(const float* m, int64_t point, const float* bias, const float* gate, bool rectify, float* out,
                           int64_t h, int64_t w, int64_t channels, Tile tile, int64_t first) {
    const int64_t rows = std::min<int64_t>(TILE, h - tile.y), columns = std::min<int64_t>(TILE, w - tile.x);
    for (int64_t c = 0; c < CHUNK; c += LANES) {
        Vec d[POINTS], e[POINTS], o[TILE * WINDOW];
        for (int i = 0; i < POINTS; i++) d[i] = load(m + i * point + c);
        for (int j = 0; j < WINDOW; j++) to_outputs(d + j, WINDOW, e + j);
        for (int i = 0; i < TILE; i++) to_outputs(e + i * WINDOW, 1, o + i * WINDOW);
        const Vec offset = bias ? load(bias + first + c) : Vec{};
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                const int64_t at = ((tile.picture * h + tile.y + i) * w + tile.x + j) * channels + first + c;
                Vec value = o[i * WINDOW + j] + offset;
                if (gate) value = where_positive(load(gate + at), value);
                store(out + at, rectify ? relu(value) : value);
            }
    }
}

// The transform of a kernel's line of 3 (Lavin and Gray, section 4.3), in float64: it is rounded once, when stored.
static inline void to_points(const Wide* g, int step, Wide* out, int out_step) {
    const Wide even = g[0] + g[2 * step], odd = g[step], wide = g[0] + 4 * g[2 * step], twice = 2 * odd;
    out[0] = g[0] / 4;
    out[out_step] = (even + odd) / -6;
    out[2 * out_step] = (even - odd) / -6;
    out[3 * out_step] = (wide + twice) / 24;
    out[4 * out_step] = (wide - twice) / 24;
    out[5 * out_step] = g[2 * step];
}

extern "C" {

int chunk() { return CHUNK; }

int parts() { return PARTS; }

// Bytes of workspace for each thread of convolve.
int64_t workspace(int64_t inputs, int64_t tiles) { return POINTS * ((tiles * inputs + 16) + (tiles * CHUNK + 16)) * 4; }

// Weights as convolve reads them: out [outputs / CHUNK][36][inputs][CHUNK].
//   weight [outputs][inputs][3][3]; or, mirrored, for the way back: [inputs][outputs][3][3], each turned upside down
void transform(const float* weight, float* out, int64_t inputs, int64_t outputs, int mirrored, int threads) {
    const int64_t next_input = mirrored ? outputs * 9 : 9, next_output = mirrored ? 9 : inputs * 9;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t job = 0; job < outputs / CHUNK * inputs; job++) {
        const int64_t first = job / inputs * CHUNK, input = job % inputs;
        for (int64_t c = 0; c < CHUNK; c += LANES) {
            Wide g[9], lines[WINDOW * 3], points[POINTS];
            for (int lane = 0; lane < LANES; lane++) {
                const float* from = weight + input * next_input + (first + c + lane) * next_output;
                for (int i = 0; i < 9; i++) g[i][lane] = from[mirrored ? 8 - i : i];
            }
            for (int j = 0; j < 3; j++) to_points(g + j, 3, lines + j, 3);
            for (int i = 0; i < WINDOW; i++) to_points(lines + i * 3, 1, points + i * WINDOW, 1);
            for (int i = 0; i < POINTS; i++)
                store(out + (first * POINTS + i * CHUNK) * inputs + input * CHUNK + c,
                      __builtin_convertvector(points[i], Vec));
        }
    }
}

// Some rows of a 3x3 convolution with zeros around, stride 1: `rows` of them, the first where row `first` of x is.
//   x [batch][h][w][inputs]; rectify_input: relu(x) is meant
//   out [batch][rows][w][outputs]
//   kernel [outputs / CHUNK][36][inputs][CHUNK]: transformed weights
//   bias [outputs] or null; gate: like out, or null: out is zero where gate is not positive; rectify: out = relu(out)
//   tiles: as many are done at a time
void convolve(const float* x, const float* kernel, const float* bias, const float* gate, float* out, int64_t batch,
              int64_t h, int64_t w, int64_t inputs, int64_t outputs, int64_t first_row, int64_t rows, int rectify_input,
              int rectify, int64_t tiles, float* space, int threads) {
    const int64_t down = (rows + TILE - 1) / TILE, across = (w + TILE - 1) / TILE, count = batch * down * across;
    // 16 more than a power of two, or the 36 points of a tile would all want the same lines of the cache
    const int64_t vpoint = tiles * inputs + 16, mpoint = tiles * CHUNK + 16;
#pragma omp parallel num_threads(threads)
    {
        float* v = space + omp_get_thread_num() * POINTS * (vpoint + mpoint);
        float* m = v + POINTS * vpoint;
#pragma omp for schedule(dynamic, 1)
        for (int64_t first = 0; first < count; first += tiles) {
            const int64_t n = std::min(tiles, count - first);
            for (int64_t t = 0; t < n; t++)
                gather(x, h, w, inputs, first_row, Tile(first + t, down, across), rectify_input, v + t * inputs, vpoint);
            for (int64_t c = 0; c < outputs; c += CHUNK) {
                for (int64_t i = 0; i < POINTS; i++)
                    for (int64_t t = 0; t < n; t += ROWS)
                        few(std::min<int64_t>(ROWS, n - t), v + i * vpoint + t * inputs, inputs, 1,
                            kernel + (c * POINTS + i * CHUNK) * inputs, CHUNK, inputs, m + i * mpoint + t * CHUNK, CHUNK,
                            false);
                for (int64_t t = 0; t < n; t++)
                    scatter(m + t * CHUNK, mpoint, bias, gate, rectify, out, rows, w, outputs,
                            Tile(first + t, down, across), c);
            }
        }
    }
}

// The gradient of a 3x3 convolution's input, where that has 3 channels.
//   g [batch][h][w][channels]; kernel [3][3][3 colours][channels]; out [batch][h + 2][w + 2][3]: of the input with its
//   frame of one pixel
void to_picture(const float* g, const float* kernel, float* out, int64_t batch, int64_t h, int64_t w, int64_t channels,
                int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < batch * (h + 2); row++) {
        const int64_t picture = row / (h + 2), y = row % (h + 2);
        for (int64_t x = 0; x < w + 2; x++) {
            Vec sum[3] = {};
            for (int64_t i = 0; i < 3; i++)
                for (int64_t j = 0; j < 3; j++) {
                    if (y - i < 0 || y - i >= h || x - j < 0 || x - j >= w) continue;
                    const float* from = g + ((picture * h + y - i) * w + x - j) * channels;
                    const float* k = kernel + (i * 3 + j) * 3 * channels;
                    for (int64_t c = 0; c < channels; c += LANES)
                        for (int color = 0; color < 3; color++)
                            sum[color] += load(from + c) * load(k + color * channels + c);
                }
            for (int color = 0; color < 3; color++) {
                float total = 0;
                for (int lane = 0; lane < LANES; lane++) total += sum[color][lane];
                out[(row * (w + 2) + x) * 3 + color] = total;
            }
        }
    }
}

// 2x2 pooling of relu(x): maxima, or means, times scale. x [batch][h][w][channels], out [batch][h / 2][w / 2][channels].
void pool(const float* x, float* out, int64_t batch, int64_t h, int64_t w, int64_t channels, int maxima, float scale,
          int threads) {
    const int64_t down = h / 2, across = w / 2;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < batch * down; row++) {
        const float* top = x + (row / down * h + row % down * 2) * w * channels;
        for (int64_t i = 0; i < across; i++)
            for (int64_t c = 0; c < channels; c += LANES) {
                const float* from = top + 2 * i * channels + c;
                const Vec a = relu(load(from)), b = relu(load(from + channels));
                const Vec d = relu(load(from + w * channels)), e = relu(load(from + (w + 1) * channels));
                const Vec value = maxima ? larger(larger(a, b), larger(d, e)) : (a + b + d + e) * 0.25f;
                store(out + (row * across + i) * channels + c, value * scale);
            }
    }
}

// The gradient of pool's x, given its output's, g. Without `gate` the ReLU is left out of account.
void unpool(const float* g, const float* x, float* out, int64_t batch, int64_t h, int64_t w, int64_t channels,
            int maxima, float scale, int gate, int threads) {
    const int64_t down = h / 2, across = w / 2, rows = (h + 1) / 2;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < batch * rows; row++) {
        const int64_t picture = row / rows, y = row % rows;
        for (int64_t i = 0; i < (w + 1) / 2; i++) {
            const int64_t at = ((picture * h + 2 * y) * w + 2 * i) * channels;
            const int64_t corners[4] = {at, at + channels, at + w * channels, at + (w + 1) * channels};
            if (y == down || i == across) {  // the odd last row or column is in no window
                for (int k = 0; k < 4; k++)
                    if (2 * y + k / 2 < h && 2 * i + k % 2 < w) std::fill_n(out + corners[k], channels, 0.0f);
                continue;
            }
            const float* from = g + ((picture * down + y) * across + i) * channels;
            for (int64_t c = 0; c < channels; c += LANES) {
                const Vec share = load(from + c) * (maxima ? scale : scale * 0.25f);
                Vec seen[4], left = share;
                for (int k = 0; k < 4; k++) seen[k] = relu(load(x + corners[k] + c));
                const Vec best = larger(larger(seen[0], seen[1]), larger(seen[2], seen[3]));
                for (int k = 0; k < 4; k++) {
                    Vec value = maxima ? (seen[k] == best ? left : Vec{}) : share;
                    if (maxima) left = seen[k] == best ? Vec{} : left;  // of equal ones, the first has it
                    store(out + corners[k] + c, gate ? where_positive(seen[k], value) : value);
                }
            }
        }
    }
}

// Gram matrices: sums over positions of f f'. x [batch][n][channels], out [batch][PARTS][channels][channels]: PARTS
// matrices to be added up.
void gram(const float* x, float* out, int64_t batch, int64_t n, int64_t channels, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t job = 0; job < batch * PARTS; job++) {
        const int64_t part = job % PARTS, begin = n * part / PARTS, end = n * (part + 1) / PARTS;
        const float* features = x + job / PARTS * n * channels;
        float* matrix = out + job * channels * channels;
        if (begin == end) std::fill_n(matrix, channels * channels, 0.0f);
        for (int64_t p = begin; p < end; p += GROUP) {
            const float *here = features + p * channels, *next = here + GROUP * channels;
            const int64_t count = std::min(GROUP, end - p);
            for (int64_t c = 0; c < channels; c += CHUNK)
                for (int64_t r = 0; r < c + CHUNK; r += ROWS) {  // the other half is its mirror image
                    for (int64_t i = 0; c + CHUNK == channels && i < ROWS * GROUP; i += 16)
                        __builtin_prefetch(next + r * GROUP + i);
                    few(std::min<int64_t>(ROWS, c + CHUNK - r), here + r, 1, channels, here + c, channels, count,
                        matrix + r * channels + c, channels, p > begin);
                }
        }
        for (int64_t r = 0; r < channels; r++)
            for (int64_t c = 0; c < r / CHUNK * CHUNK; c++) matrix[r * channels + c] = matrix[c * channels + r];
    }
}

// Sums of squares of x - target, for each group of 96 positions. x [batch][n][channels], target likewise, for each
// picture or (shared) for all; sums [batch][ceil(n / 96)].
void distance(const float* x, const float* target, double* sums, int64_t batch, int64_t n, int64_t channels, int shared,
              int threads) {
    const int64_t groups = (n + GROUP - 1) / GROUP;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t job = 0; job < batch * groups; job++) {
        const int64_t begin = job % groups * GROUP, count = std::min(GROUP, n - begin) * channels;
        const float *mine = x + (job / groups * n + begin) * channels;
        const float *other = target + ((shared ? 0 : job / groups) * n + begin) * channels;
        Vec total = {};
        for (int64_t i = 0; i < count; i += LANES) {
            const Vec apart = load(mine + i) - load(other + i);
            total += apart * apart;
        }
        double sum = 0;
        for (int lane = 0; lane < LANES; lane++) sum += total[lane];
        sums[job] = sum;
    }
}

// The gradient of losses of features, with respect to those: out = (out) + x matrix + scale (x - target).
//   x, out [batch][n][channels]; matrix [batch][channels / CHUNK][channels][CHUNK] or null
//   target as in distance, or null; scale [batch]; gate: then zero where x is not positive; add: out is added to
void pull(const float* x, const float* matrix, const float* target, const float* scale, float* out, int64_t batch,
          int64_t n, int64_t channels, int shared, int gate, int add, int threads) {
    const int64_t groups = (n + GROUP - 1) / GROUP;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t job = 0; job < batch * groups; job++) {
        const int64_t picture = job / groups, begin = job % groups * GROUP, rows = std::min(GROUP, n - begin);
        const int64_t at = (picture * n + begin) * channels;
        for (int64_t c = 0; matrix && c < channels; c += CHUNK)
            for (int64_t r = 0; r < rows; r += ROWS)
                few(std::min<int64_t>(ROWS, rows - r), x + at + r * channels, channels, 1,
                    matrix + (picture * channels + c) * channels, CHUNK, channels, out + at + r * channels + c, channels,
                    add);
        if (!target && !gate) continue;
        const float* other = target ? target + ((shared ? 0 : picture) * n + begin) * channels : nullptr;
        const Vec weight = all(target ? scale[picture] : 0.0f);
        for (int64_t i = 0; i < rows * channels; i += LANES) {
            const Vec here = load(x + at + i);
            Vec value = matrix || add ? load(out + at + i) : Vec{};
            if (other) value += weight * (here - load(other + i));
            store(out + at + i, gate ? where_positive(here, value) : value);
        }
    }
}

}  // extern "C"
