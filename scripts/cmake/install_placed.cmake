# Part of `cmake --install` for one file that names places: `source` goes as `name` to `destination` below the prefix (a destination that
# starts with etc/ goes to /etc when the prefix is /usr), and what it says of /usr and /etc becomes what is true there.
cmake_policy(VERSION 3.25)
set(prefix "${CMAKE_INSTALL_PREFIX}")
file(READ "${source}" text)
if(prefix MATCHES "/usr$")  # cpack's own folder ends so too
  string(REGEX REPLACE "/usr$" "" root "${prefix}")
else()
  set(root "${prefix}")
  string(REPLACE "/usr/bin/" "${prefix}/bin/" text "${text}")
  string(REPLACE "/usr/share/" "${prefix}/share/" text "${text}")
  string(REPLACE "/etc/ultramarine" "${prefix}/etc/ultramarine" text "${text}")
  string(REPLACE "/etc/default" "${prefix}/etc/default" text "${text}")
endif()
if(NOT destination MATCHES "^etc/")
  set(root "${prefix}")
endif()
file(WRITE "${scratch}/${name}" "${text}")
file(INSTALL DESTINATION "${root}/${destination}" TYPE FILE FILES "${scratch}/${name}")
