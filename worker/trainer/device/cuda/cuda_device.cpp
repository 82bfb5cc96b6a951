// Hands the operations on to the kernels, and CUDA's errors as one line each: what was asked, what CUDA says, its
// number.
#include "worker/trainer/device/cuda/cuda_device.h"

#include <cuda_runtime_api.h>

#include <utility>

#include "worker/trainer/device/cuda/kernels.h"
#include "worker/trainer/device/operations.h"

namespace ultramarine::trainer::cuda {
namespace {

std::string describe(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + std::to_string(static_cast<int>(error)) + ")";
}

/// Errors of a kernel come with a later call, so the operation named here may be one after the cause.
void check(cudaError_t error, const char* operation) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a later call must not report it again
  throw DeviceError(std::string("CUDA: ") + operation + ": " + describe(error));
}

cudaStream_t native(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle()); }

class CudaEvent final : public Event {
 public:
  CudaEvent() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event"); }
  ~CudaEvent() override { cudaEventDestroy(event_); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  bool done() const override {
    const cudaError_t state = cudaEventQuery(event_);
    if (state != cudaErrorNotReady) check(state, "asking for an event");
    return state == cudaSuccess;
  }
  cudaEvent_t native_event() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

class CudaStream final : public Stream {
 public:
  // Non-blocking: it orders nothing with the default stream, which nothing here uses.
  CudaStream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream"); }
  ~CudaStream() override {
    cudaFree(scratch_);  // which waits for the device
    cudaStreamDestroy(stream_);
  }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  // Host memory here is pageable: CUDA has copied it, or has filled it, when the call returns.
  void copy_to_device(void* to, const void* from, std::size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "copying to the device");
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "copying to the host");
  }
  void clear(void* memory, std::size_t bytes) override {
    check(cudaMemsetAsync(memory, 0, bytes, stream_), "clearing memory");
  }
  void record(Event& event) override {
    check(cudaEventRecord(static_cast<CudaEvent&>(event).native_event(), stream_), "recording an event");
  }
  void wait(const Event& event) override {
    check(cudaStreamWaitEvent(stream_, static_cast<const CudaEvent&>(event).native_event(), 0), "waiting for an event");
  }
  bool done() const override {
    const cudaError_t state = cudaStreamQuery(stream_);
    if (state != cudaErrorNotReady) check(state, "asking for a stream");
    return state == cudaSuccess;
  }
  void synchronize() override { check(cudaStreamSynchronize(stream_), "waiting for the device"); }
  void* handle() const override { return stream_; }
  /// Memory that one operation after the other on this stream may use; null for 0 elements. It grows rarely, and waits
  /// for the device then.
  float* scratch(std::size_t elements) {
    if (elements > scratch_elements_) {
      cudaFree(std::exchange(scratch_, nullptr));
      scratch_elements_ = 0;
      check(cudaMalloc(reinterpret_cast<void**>(&scratch_), elements * sizeof(float)), "allocating scratch memory");
      scratch_elements_ = elements;
    }
    return elements > 0 ? scratch_ : nullptr;
  }

 private:
  cudaStream_t stream_ = nullptr;
  float* scratch_ = nullptr;
  std::size_t scratch_elements_ = 0;
};

class CudaModelOperations final : public ModelOperations<float> {
 public:
  void linear_forward(Stream& stream, std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                      const float* weight, const float* bias, float* out) const override {
    check(cuda::linear_forward(rows, inputs, outputs, in, weight, bias, out, native(stream)), "linear_forward");
  }
  void linear_backward(Stream& stream, std::size_t rows, std::size_t inputs, std::size_t outputs, const float* in,
                       const float* weight, const float* d_out, float* d_in, float* d_weight,
                       float* d_bias) const override {
    float* scratch = static_cast<CudaStream&>(stream).scratch(cuda::linear_scratch(rows, inputs, outputs));
    check(cuda::linear_backward(rows, inputs, outputs, in, weight, d_out, d_in, d_weight, d_bias, scratch,
                                native(stream)),
          "linear_backward");
  }
  void layer_norm_forward(Stream& stream, std::size_t rows, std::size_t width, const float* in, const float* weight,
                          const float* bias, float* out, float* mean, float* scale) const override {
    check(cuda::layer_norm_forward(rows, width, in, weight, bias, out, mean, scale, native(stream)),
          "layer_norm_forward");
  }
  void layer_norm_backward(Stream& stream, std::size_t rows, std::size_t width, const float* in, const float* weight,
                           const float* mean, const float* scale, const float* d_out, float* d_in, float* d_weight,
                           float* d_bias) const override {
    check(
        cuda::layer_norm_backward(rows, width, in, weight, mean, scale, d_out, d_in, d_weight, d_bias, native(stream)),
        "layer_norm_backward");
  }
  void gelu_forward(Stream& stream, std::size_t count, const float* in, float* out) const override {
    check(cuda::gelu_forward(count, in, out, native(stream)), "gelu_forward");
  }
  void gelu_backward(Stream& stream, std::size_t count, const float* in, float* d) const override {
    check(cuda::gelu_backward(count, in, d, native(stream)), "gelu_backward");
  }
  void attention_forward(Stream& stream, AttentionShape shape, const float* qkv, float* probabilities,
                         float* out) const override {
    check(cuda::attention_forward(shape, qkv, probabilities, out, native(stream)), "attention_forward");
  }
  void attention_backward(Stream& stream, AttentionShape shape, const float* qkv, const float* probabilities,
                          const float* d_out, float* d_qkv, float* scratch) const override {
    check(cuda::attention_backward(shape, qkv, probabilities, d_out, d_qkv, scratch, native(stream)),
          "attention_backward");
  }
  std::size_t attention_scratch(AttentionShape shape) const override {
    return shape.samples * shape.heads * shape.length * shape.length;
  }
  void cross_entropy_forward(Stream& stream, std::size_t rows, std::size_t classes, float* logits,
                             const std::uint8_t* targets, float* losses) const override {
    check(cuda::cross_entropy_forward(rows, classes, logits, targets, losses, native(stream)), "cross_entropy_forward");
  }
  void cross_entropy_backward(Stream& stream, std::size_t rows, std::size_t classes, float* probabilities,
                              const std::uint8_t* targets, float weight) const override {
    check(cuda::cross_entropy_backward(rows, classes, probabilities, targets, weight, native(stream)),
          "cross_entropy_backward");
  }
  void mean_of_rows(Stream& stream, std::size_t samples, std::size_t length, const float* values,
                    float* means) const override {
    check(cuda::mean_of_rows(samples, length, values, means, native(stream)), "mean_of_rows");
  }
  void embedding_forward(Stream& stream, std::size_t samples, std::size_t length, std::size_t width,
                         const std::uint8_t* tokens, const float* token_table, const float* position_table,
                         float* out) const override {
    check(cuda::embedding_forward(samples, length, width, tokens, token_table, position_table, out, native(stream)),
          "embedding_forward");
  }
  void embedding_backward(Stream& stream, std::size_t samples, std::size_t length, std::size_t width,
                          std::size_t vocabulary, const std::uint8_t* tokens, const float* d_out, float* d_token_table,
                          float* d_position_table) const override {
    check(cuda::embedding_backward(samples, length, width, vocabulary, tokens, d_out, d_token_table, d_position_table,
                                   native(stream)),
          "embedding_backward");
  }
  void add(Stream& stream, std::size_t count, const float* a, const float* b, float* out) const override {
    check(cuda::add(count, a, b, out, native(stream)), "add");
  }
};

class CudaTrainingOperations final : public TrainingOperations {
 public:
  void add_up(Stream& stream, std::size_t count, const float* values, float* sum) const override {
    check(cuda::add_up(count, values, sum, native(stream)), "add_up");
  }
  void sum_of_squares(Stream& stream, std::size_t count, const float* values, double* result) const override {
    check(cuda::sum_of_squares(count, values, result, native(stream)), "sum_of_squares");
  }
  void checksum(Stream& stream, std::size_t count, const float* values, std::uint64_t* result) const override {
    check(cuda::checksum(count, values, result, native(stream)), "checksum");
  }
  void adamw(Stream& stream, std::size_t count, AdamwStep step, const float* gradients, float* parameters,
             float* first_moments, float* second_moments) const override {
    check(cuda::adamw(count, step, gradients, parameters, first_moments, second_moments, native(stream)), "adamw");
  }
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : index_(index) {
    check(cudaSetDevice(index), ("using device " + std::to_string(index)).c_str());
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index), "asking what the device is");
    description_ = "cuda " + std::to_string(index) + ": " + properties.name;
  }
  std::string_view kind() const override { return "cuda"; }
  int index() const override { return index_; }
  std::string description() const override { return description_; }
  bool is_host_memory() const override { return false; }
  void* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      std::size_t free_bytes = 0, all_bytes = 0;
      cudaMemGetInfo(&free_bytes, &all_bytes);
      throw DeviceError("CUDA: " + description_ + ": " + describe(error) + ": wanted " + megabytes(bytes) + ", free " +
                        megabytes(free_bytes) + " of " + megabytes(all_bytes) +
                        "; a smaller --micro-batch, --context or --width needs less");
    }
    check(error, "allocating memory");
    return memory;
  }
  void release(void* memory) noexcept override { cudaFree(memory); }
  std::unique_ptr<Stream> make_stream() override { return std::make_unique<CudaStream>(); }
  std::unique_ptr<Event> make_event() override { return std::make_unique<CudaEvent>(); }
  const ModelOperations<float>& model_operations() const override { return model_operations_; }
  const TrainingOperations& training_operations() const override { return training_operations_; }

 private:
  static std::string megabytes(std::size_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

  int index_;
  std::string description_;
  CudaModelOperations model_operations_;
  CudaTrainingOperations training_operations_;
};

}  // namespace

std::unique_ptr<Device> make_cuda_device(int index) { return std::make_unique<CudaDevice>(index); }

}  // namespace ultramarine::trainer::cuda
