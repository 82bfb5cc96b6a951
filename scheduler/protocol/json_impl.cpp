// Boost.JSON, compiled once for the whole project: no separate library is needed. Nothing else includes this header.
#include <boost/json/src.hpp>
