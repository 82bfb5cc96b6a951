#include "collectives/work.h"

namespace ultramarine::collectives {

std::string_view name_of(Kind kind) {
  static constexpr std::string_view names[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "barrier"};
  return names[static_cast<int>(kind)];
}

std::string_view name_of(Operation operation) { return operation == Operation::sum ? "sum" : "max"; }

std::string_view name_of(DataType type) {
  return type == DataType::float32 ? "float32" : type == DataType::bf16 ? "bf16" : "int64";
}

bool reduces(Kind kind) { return kind == Kind::all_reduce || kind == Kind::reduce_scatter; }

std::string describe(const Call& call) {
  std::string text(name_of(call.kind));
  if (call.kind == Kind::barrier) return text;
  if (reduces(call.kind)) text.append(" ").append(name_of(call.operation));
  text.append(" of ").append(std::to_string(call.count)).append(" ").append(name_of(call.type));
  if (call.kind == Kind::broadcast) text.append(" from rank ").append(std::to_string(call.root));
  return text;
}

bool matches(const Call& a, const Call& b) {
  return a.kind == b.kind && a.root == b.root && a.count == b.count && a.type == b.type &&
         (!reduces(a.kind) || a.operation == b.operation);
}

}  // namespace ultramarine::collectives
