// Hands the operations on to kernels.cpp and optimizer.cpp.
#include "worker/trainer/device/cpu/cpu_device.h"

#include <cstring>
#include <new>

#include "worker/trainer/device/cpu/kernels.h"
#include "worker/trainer/hash.h"
#include "worker/trainer/optimizer.h"

namespace ultramarine::trainer {
namespace {

class CpuEvent : public Event {
 public:
  bool done() const override { return true; }
};

class CpuStream : public Stream {
 public:
  void copy_to_device(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void clear(void* memory, std::size_t bytes) override { std::memset(memory, 0, bytes); }
  void record(Event&) override {}
  void wait(const Event&) override {}
  bool done() const override { return true; }
  void synchronize() override {}
  void* handle() const override { return nullptr; }

 private:
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
};

template <class Real>
class CpuModelOperations : public ModelOperations<Real> {
 public:
  void linear_forward(Stream&, std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* in,
                      const Real* weight, const Real* bias, Real* out) const override {
    trainer::linear_forward(rows, inputs, outputs, in, weight, bias, out);
  }
  void linear_backward(Stream&, std::size_t rows, std::size_t inputs, std::size_t outputs, const Real* in,
                       const Real* weight, const Real* d_out, Real* d_in, Real* d_weight, Real* d_bias) const override {
    trainer::linear_backward(rows, inputs, outputs, in, weight, d_out, d_in, d_weight, d_bias);
  }
  void layer_norm_forward(Stream&, std::size_t rows, std::size_t width, const Real* in, const Real* weight,
                          const Real* bias, Real* out, Real* mean, Real* scale) const override {
    trainer::layer_norm_forward(rows, width, in, weight, bias, out, mean, scale);
  }
  void layer_norm_backward(Stream&, std::size_t rows, std::size_t width, const Real* in, const Real* weight,
                           const Real* mean, const Real* scale, const Real* d_out, Real* d_in, Real* d_weight,
                           Real* d_bias) const override {
    trainer::layer_norm_backward(rows, width, in, weight, mean, scale, d_out, d_in, d_weight, d_bias);
  }
  void gelu_forward(Stream&, std::size_t count, const Real* in, Real* out) const override {
    trainer::gelu_forward(count, in, out);
  }
  void gelu_backward(Stream&, std::size_t count, const Real* in, Real* d) const override {
    trainer::gelu_backward(count, in, d);
  }
  void attention_forward(Stream&, AttentionShape shape, const Real* qkv, Real* probabilities,
                         Real* out) const override {
    trainer::attention_forward(shape, qkv, probabilities, out);
  }
  void attention_backward(Stream&, AttentionShape shape, const Real* qkv, const Real* probabilities, const Real* d_out,
                          Real* d_qkv, Real* scratch) const override {
    trainer::attention_backward(shape, qkv, probabilities, d_out, d_qkv, scratch);
  }
  std::size_t attention_scratch(AttentionShape shape) const override { return shape.length * shape.length; }
  void cross_entropy_forward(Stream&, std::size_t rows, std::size_t classes, Real* logits, const std::uint8_t* targets,
                             Real* losses) const override {
    trainer::cross_entropy_forward(rows, classes, logits, targets, losses);
  }
  void cross_entropy_backward(Stream&, std::size_t rows, std::size_t classes, Real* probabilities,
                              const std::uint8_t* targets, Real weight) const override {
    trainer::cross_entropy_backward(rows, classes, probabilities, targets, weight);
  }
  void mean_of_rows(Stream&, std::size_t samples, std::size_t length, const Real* values, Real* means) const override {
    trainer::mean_of_rows(samples, length, values, means);
  }
  void embedding_forward(Stream&, std::size_t samples, std::size_t length, std::size_t width,
                         const std::uint8_t* tokens, const Real* token_table, const Real* position_table,
                         Real* out) const override {
    trainer::embedding_forward(samples, length, width, tokens, token_table, position_table, out);
  }
  void embedding_backward(Stream&, std::size_t samples, std::size_t length, std::size_t width, std::size_t,
                          const std::uint8_t* tokens, const Real* d_out, Real* d_token_table,
                          Real* d_position_table) const override {
    trainer::embedding_backward(samples, length, width, tokens, d_out, d_token_table, d_position_table);
  }
  void add(Stream&, std::size_t count, const Real* a, const Real* b, Real* out) const override {
    trainer::add(count, a, b, out);
  }
};

class CpuTrainingOperations : public TrainingOperations {
 public:
  void add_up(Stream&, std::size_t count, const float* values, float* sum) const override {
    for (std::size_t i = 0; i < count; ++i) *sum += values[i];
  }
  void sum_of_squares(Stream&, std::size_t count, const float* values, double* result) const override {
    *result = trainer::sum_of_squares({values, count});
  }
  void checksum(Stream&, std::size_t count, const float* values, std::uint64_t* result) const override {
    *result = hash64(values, count * sizeof(float));
  }
  void adamw(Stream&, std::size_t count, AdamwStep step, const float* gradients, float* parameters,
             float* first_moments, float* second_moments) const override {
    trainer::adamw(count, step, gradients, parameters, first_moments, second_moments);
  }
};

template <class Real>
const CpuModelOperations<Real> model_operations_of_cpu;
const CpuTrainingOperations training_operations_of_cpu;

class CpuDevice : public Device {
 public:
  std::string_view kind() const override { return "cpu"; }
  int index() const override { return 0; }
  std::string description() const override { return "cpu"; }
  bool is_host_memory() const override { return true; }
  // A cache line, so that vector code does the same work, in the same order, in every process.
  void* allocate(std::size_t bytes) override { return ::operator new (bytes, std::align_val_t{64}); }
  void release(void* memory) noexcept override { ::operator delete (memory, std::align_val_t{64}); }
  std::unique_ptr<Stream> make_stream() override { return std::make_unique<CpuStream>(); }
  std::unique_ptr<Event> make_event() override { return std::make_unique<CpuEvent>(); }
  const ModelOperations<float>& model_operations() const override { return model_operations_of_cpu<float>; }
  const TrainingOperations& training_operations() const override { return training_operations_of_cpu; }
};

}  // namespace

Device& cpu_device() {
  static CpuDevice device;
  return device;
}

template <class Real>
const ModelOperations<Real>& cpu_model_operations() {
  return model_operations_of_cpu<Real>;
}
template const ModelOperations<float>& cpu_model_operations();
template const ModelOperations<double>& cpu_model_operations();

}  // namespace ultramarine::trainer
