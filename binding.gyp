{
  # The addon is the core as one unit and the glue beside it. `npm run build` drives this
  # from build/node, since node-gyp writes its own files into ./build.
  "targets": [
    {
      "target_name": "bide",
      "conditions": [
        [
          "OS != 'linux'",
          {"sources": ["<!(echo bide is for Linux >&2; exit 1)"]},
          {
            "sources": [
              "core/src/lib.c",
              "bindings/node/addon.c",
              "bindings/node/convert.c",
              "bindings/node/fs.c",
              "bindings/node/jobs.c",
              "bindings/node/loop.c",
              "bindings/node/offload.c",
              "bindings/node/owner.c",
              "bindings/node/request.c",
              "bindings/node/stat.c",
              "bindings/node/stat_all.c",
              "bindings/node/write_file.c"
            ]
          }
        ]
      ],
      "include_dirs": ["core/include"],
      "defines": ["BIDE_EMBEDDED", "_GNU_SOURCE", "NAPI_VERSION=9"],
      "cflags": ["-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"],
      "cflags!": ["-fno-omit-frame-pointer"],
      "ldflags": ["-pthread"],
      "configurations": {"Release": {"defines": ["NDEBUG"]}}
    }
  ]
}
