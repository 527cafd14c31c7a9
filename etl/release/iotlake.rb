# For Homebrew: installs the archives of a release. `.ci/formula` fills in version, repository and checksums.
class Iotlake < Formula
  desc "Nested JSON from IoT devices into a lake of flat, hive-partitioned Parquet"
  homepage "https://github.com/@REPOSITORY@"
  version "@VERSION@"
  license "MIT"

  on_macos do
    depends_on arch: :arm64
    on_arm do
      url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/iotlake-macos-arm64.tar.gz"
      sha256 "@SHA256:macos-arm64@"
    end
  end
  on_linux do
    on_arm do
      url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/iotlake-linux-arm64.tar.gz"
      sha256 "@SHA256:linux-arm64@"
    end
    on_intel do
      url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/iotlake-linux-x86_64.tar.gz"
      sha256 "@SHA256:linux-x86_64@"
    end
  end

  def install
    bin.install "iotlake"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/iotlake.bash" => "iotlake"
    zsh_completion.install "completions/_iotlake"
    fish_completion.install "completions/iotlake.fish"
  end

  test do
    (testpath/"raw/2026/03/01/08/a.json").write('{"device":{"id":"a"},"celsius":21.5}')
    system bin/"iotlake", "backfill", "raw", "--lake", "lake"
    assert_match "21.5", shell_output("#{bin}/iotlake query --lake lake 'SELECT celsius FROM events'")
  end
end
