# Read by cpack when the files lie in place: what Debian wants beside them. Copyright and changelog for each package, compressed pages.
foreach(component ${CPACK_COMPONENTS_ALL})
  set(root "${CPACK_TEMPORARY_DIRECTORY}/${component}")
  set(documents "${root}/usr/share/doc/${component}")
  file(MAKE_DIRECTORY "${documents}")
  file(COPY_FILE "${CMAKE_CURRENT_LIST_DIR}/copyright" "${documents}/copyright")
  string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
  file(WRITE "${documents}/changelog.Debian"
    "ultramarine (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n  * Built from its source.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${now}\n")
  file(GLOB_RECURSE pages "${root}/usr/share/man/*.[1-8]")
  execute_process(COMMAND gzip -9n "${documents}/changelog.Debian" ${pages} COMMAND_ERROR_IS_FATAL ANY)
  file(CHMOD "${documents}/copyright" "${documents}/changelog.Debian.gz" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endforeach()
# Folders that an optional file would have gone to.
execute_process(COMMAND find "${CPACK_TEMPORARY_DIRECTORY}" -mindepth 2 -type d -empty -delete COMMAND_ERROR_IS_FATAL ANY)
