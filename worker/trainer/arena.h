// One contiguous block of numbers: parameters, gradients or optimizer moments of the whole model. Aligned to a cache
// line, so that vector code does the same work, in the same order, in every process.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace ultramarine::trainer {

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* data, std::size_t) { ::operator delete (data, std::align_val_t{64}); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};

template <class T>
using Arena = std::vector<T, CacheLineAllocator<T>>;

}  // namespace ultramarine::trainer
