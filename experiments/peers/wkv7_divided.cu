// RWKV-7's recurrence for PyTorch in the manner of the official kernels: a block a head and sequence, a thread a row of the
// state in registers, every 16th state kept; the backward pass walks back and finds each state from the one after it, by
// dividing by the decay. For decays that are not small, as those of RWKV-7 are. torch_wkv7.py builds and measures it.
//   S_t = S_{t-1} diag(w) + (S_{t-1} a) b' + v k',  y_t = S_t r;  all [B,T,H,N] in float32, w the decay itself; S_0 = 0
#include <torch/extension.h>

constexpr int KEPT = 16;  // tokens from one state that is kept to the next

struct Vectors {
  const float *r, *w, *k, *v, *a, *b;
};

// Thread i has S[i,:]. kept [B,H,T/KEPT,N,N] and sa [B,T,H,N], the S a of every token, are for the way back.
template <int N> __global__ void __launch_bounds__(N) forward_rows(int T, int H, Vectors in, float *y, float *sa, float *kept) {
  __shared__ float r[N], w[N], k[N], a[N], b[N];
  const int i = threadIdx.x, bh = blockIdx.x;
  float S[N] = {};
  for (int t = 0; t < T; t++) {
    const size_t at = (((size_t)(bh / H) * T + t) * H + bh % H) * N + i;
    __syncthreads();
    r[i] = in.r[at], w[i] = in.w[at], k[i] = in.k[at], a[i] = in.a[at], b[i] = in.b[at];
    __syncthreads();
    const float v = in.v[at];
    float along_a = 0, read = 0;
#pragma unroll
    for (int j = 0; j < N; j++) along_a += S[j] * a[j];
#pragma unroll
    for (int j = 0; j < N; j++) {
      S[j] = S[j] * w[j] + along_a * b[j] + v * k[j];
      read += S[j] * r[j];
    }
    y[at] = read, sa[at] = along_a;
    if (t % KEPT != KEPT - 1) continue;
    float *to = kept + ((size_t)bh * (T / KEPT) + t / KEPT) * N * N + (size_t)i * N;
#pragma unroll
    for (int j = 0; j < N; j++) to[j] = S[j];
  }
}

struct Gradients {
  float *r, *w, *k, *v, *a, *b;
};

// Thread i has column i of S and of its gradient G, and row i of G. T is a multiple of KEPT.
template <int N>
__global__ void __launch_bounds__(N)
    backward_both(int T, int H, Vectors in, const float *gy_in, const float *sa_in, const float *kept, Gradients out) {
  __shared__ float r[N], w[N], k[N], v[N], a[N], b[N], gy[N], sa[N], gb[N];
  const int i = threadIdx.x, bh = blockIdx.x;
  float S[N], column[N] = {}, row[N] = {};
  for (int t = T - 1; t >= 0; t--) {
    if (t % KEPT == KEPT - 1) {
      const float *from = kept + ((size_t)bh * (T / KEPT) + t / KEPT) * N * N + i;
#pragma unroll
      for (int j = 0; j < N; j++) S[j] = from[j * N];
    }
    const size_t at = (((size_t)(bh / H) * T + t) * H + bh % H) * N + i;
    __syncthreads();
    r[i] = in.r[at], w[i] = in.w[at], k[i] = in.k[at], v[i] = in.v[at], a[i] = in.a[at], b[i] = in.b[at];
    gy[i] = gy_in[at], sa[i] = sa_in[at];
    __syncthreads();
    const float once = 1 / w[i];
    float gr = 0, gw = 0, gk = 0, gv = 0, gbb = 0, along_b = 0, ga = 0;
#pragma unroll
    for (int j = 0; j < N; j++) {
      gr += S[j] * gy[j];
      S[j] = (S[j] - v[j] * k[i] - sa[j] * b[i]) * once;
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
      row[j] += gy[i] * r[j];
      gv += row[j] * k[j], along_b += row[j] * b[j];
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
      column[j] += gy[j] * r[i];
      gw += column[j] * S[j], gk += column[j] * v[j], gbb += column[j] * sa[j];
    }
    gb[i] = along_b;
    __syncthreads();
#pragma unroll
    for (int j = 0; j < N; j++) {
      ga += S[j] * gb[j];
      column[j] = column[j] * w[i] + gb[j] * a[i], row[j] = row[j] * w[j] + along_b * a[j];
    }
    out.r[at] = gr, out.w[at] = gw, out.k[at] = gk, out.v[at] = gv, out.a[at] = ga, out.b[at] = gbb;
  }
}

static Vectors vectors(const std::vector<torch::Tensor> &x) {
  for (const auto &t : x) TORCH_CHECK(t.is_contiguous() && t.scalar_type() == torch::kFloat32 && t.size(3) == 64);
  return {x[0].data_ptr<float>(), x[1].data_ptr<float>(), x[2].data_ptr<float>(),
          x[3].data_ptr<float>(), x[4].data_ptr<float>(), x[5].data_ptr<float>()};
}

// r w k v a b -> y, sa, kept
std::vector<torch::Tensor> forward(std::vector<torch::Tensor> x) {
  const int64_t B = x[0].size(0), T = x[0].size(1), H = x[0].size(2), N = 64;
  TORCH_CHECK(T % KEPT == 0);
  auto y = torch::empty_like(x[0]), sa = torch::empty_like(x[0]);
  auto kept = torch::empty({B, H, T / KEPT, N, N}, x[0].options());
  forward_rows<64><<<B * H, 64>>>(T, H, vectors(x), y.data_ptr<float>(), sa.data_ptr<float>(), kept.data_ptr<float>());
  return {y, sa, kept};
}

// r w k v a b, gy, sa, kept -> the gradients of the first six
std::vector<torch::Tensor> backward(std::vector<torch::Tensor> x, torch::Tensor gy, torch::Tensor sa, torch::Tensor kept) {
  const int64_t B = x[0].size(0), T = x[0].size(1), H = x[0].size(2);
  std::vector<torch::Tensor> g;
  for (const auto &t : x) g.push_back(torch::empty_like(t));
  Gradients out = {g[0].data_ptr<float>(), g[1].data_ptr<float>(), g[2].data_ptr<float>(),
                   g[3].data_ptr<float>(), g[4].data_ptr<float>(), g[5].data_ptr<float>()};
  backward_both<64><<<B * H, 64>>>(T, H, vectors(x), gy.data_ptr<float>(), sa.data_ptr<float>(), kept.data_ptr<float>(), out);
  return g;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &forward);
  m.def("backward", &backward);
}
