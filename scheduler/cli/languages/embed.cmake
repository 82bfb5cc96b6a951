# cmake -DMO=FILE -DOUT=FILE -P embed.cmake: the bytes of a compiled catalogue as a C++ file.
file(READ ${MO} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "// Made by the build from languages/ko.po. Change that.
#include \"scheduler/cli/catalogue.h\"

namespace ultramarine::cli {

std::string_view korean_catalogue() {
  static constexpr unsigned char bytes[] = {
${bytes}};
  return {reinterpret_cast<const char*>(bytes), sizeof bytes};
}

}  // namespace ultramarine::cli
")
