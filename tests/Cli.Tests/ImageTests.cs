using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>Kernels, initial RAM disks and disks that cannot be used: code 126, one line, no file left behind. None needs KVM: files are checked first.</summary>
public class ImageTests
{
    private static readonly string Guest = Guests.Path("onepage");

    [Fact]
    public void Missing_kernel() => Fails("No such file", "--kernel", "missing");

    [Fact]
    public void Kernel_that_is_a_directory() => Fails(Cli.Scratch, "--kernel", Cli.Scratch);

    [Fact]
    public void Empty_kernel() => Fails("empty", "--kernel", Cli.File("empty", ""));

    [Fact]
    public void Random_kernel() => Fails("random", "--kernel", RandomFile("random", 100_000));

    [Fact]
    public void Truncated_kernel()
    {
        byte[] whole = File.ReadAllBytes(Guest);
        string path = Path.Combine(Cli.Scratch, "truncated");
        File.WriteAllBytes(path, whole[..80]);
        Fails("truncated", "--kernel", path);
    }

    [Fact]
    public void Oversized_kernel() => Fails("sparse", "--kernel", Sparse("sparse", 8L << 30));

    [Fact]
    public void Kernel_that_is_a_fifo()
    {
        string path = Path.Combine(Cli.Scratch, "fifo");
        Assert.Equal(0, Cli.Shell("rm -f \"$1\"; mkfifo \"$1\"", path).Code);
        Fails("fifo", "--kernel", path);
    }

    [Fact]
    public void Missing_initrd() => Fails("missing", "--kernel", Guest, "--initrd", "missing");

    [Theory]
    [InlineData("64M", 128L << 20, "Give at least --memory 130M.")]
    [InlineData("64M", 64L << 20, "Give at least --memory 66M.")]
    [InlineData("5G", 3L << 30, "Give a smaller one.")] // below the hole there are never more than 3 GiB
    public void Initrd_that_memory_has_no_room_for(string memory, long size, string remedy) => Fails(remedy, "--kernel", Guest, "--memory", memory, "--initrd", Sparse("huge-initrd", size));

    [Fact]
    public void Missing_disk() => Fails("missing.img", "--kernel", Guest, "--disk", "path=missing.img");

    [Fact]
    public void Disk_that_is_empty_can_come_later() =>
        Fails("it is empty. Make it larger (truncate -s 1G), or start with --pci-ports 1", "--kernel", Guest, "--disk",
            Cli.File("empty.img", ""));

    [Fact]
    public void The_same_image_twice_is_said_by_name()
    {
        string image = Cli.File("twice.img", new string('\0', 4096)), link = Path.Combine(Cli.Scratch, "twice.link");
        File.Delete(link);
        File.CreateSymbolicLink(link, image);
        Ran ran = Cli.Run("run", "--serial", "none", "--kernel", Guest, "--disk", image, "--disk", $"path={link},ro");
        Assert.Equal(127, ran.Code);
        Assert.Contains($"the same disk image twice, {link}: this process has it open as {image}", ran.ErrorLine(),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Disk_that_is_a_directory() => Fails(Cli.Scratch, "--kernel", Guest, "--disk", $"path={Cli.Scratch}");

    // Disks are opened before KVM is, so that none of these needs the right to it. The commands stand before the program's name.
    [Theory]
    [InlineData("chmod 444 \"$D\"; exec setpriv --reuid 65534 --regid 65534 --clear-groups", "Permission denied")]
    [InlineData("exec unshare -m sh -c 'mount --bind \"$D\" \"$D\" && mount -o remount,bind,ro \"$D\" && exec \"$0\" \"$@\"'", "Read-only file system")]
    [InlineData("exec unshare -m sh -c 'mount -t tmpfs none /mnt && cp \"$D\" /mnt/i && mount -o remount,ro /mnt && mount --bind /mnt/i \"$D\" && exec \"$0\" \"$@\"'", "Read-only file system")]
    public void Disk_that_the_host_lets_be_read_only_says_so_and_works_read_only(string host, string why)
    {
        (string program, string kernel) = Cli.ForAnyUser(Guest);
        string disk = Cli.File("read-only.img", new string('\0', 4096));
        Ran writable = On($"path={disk}"), readOnly = On($"path={disk},ro");
        Assert.Equal(126, writable.Code);
        Assert.Contains($"cannot open the disk image, {disk}: {why}. Give yourself write permission, or add ,ro to the disk.", writable.ErrorLine(), StringComparison.Ordinal);
        // With ,ro it is opened; the one without rights is refused KVM then, which is another story.
        Assert.DoesNotContain("disk", readOnly.Error, StringComparison.Ordinal);
        Assert.Contains(readOnly.Code, new[] { 42, 125 });

        Ran On(string parts) => Cli.Shell($"D={disk}; export D; {host} \"$@\"", program, "run", "--serial", "none", "--kernel", kernel, "--disk", parts);
    }

    [LoopFact]
    public void Block_device_that_is_read_only_says_so_and_works_read_only()
    {
        string image = Sparse("device.img", 1 << 20);
        string device = Cli.Shell("losetup -r --show -f \"$1\"", image).Out.TrimEnd();
        try
        {
            Ran ran = Cli.Run("run", "--serial", "none", "--kernel", Guest, "--disk", $"path={device}");
            Assert.Equal(126, ran.Code);
            Assert.Contains("Give yourself write permission, or add ,ro to the disk.", ran.ErrorLine(), StringComparison.Ordinal);
            // Opened; where there is no KVM, that is what is missing then.
            Ran readOnly = Cli.Run("run", "--serial", "none", "--kernel", Guest, "--disk", $"path={device},ro");
            Assert.Equal(HostKvm.WhyNot is null ? 42 : 125, readOnly.Code);
            Assert.DoesNotContain("disk", readOnly.Error, StringComparison.Ordinal);
        }
        finally
        {
            _ = Cli.Shell("losetup -d \"$1\"", device);
        }
    }

    [Fact]
    public void Command_line_that_is_too_long()
    {
        Ran ran = Cli.Run("run", "--serial", "none", "--kernel", Guest, "--cmdline", new string('x', 5000));
        Assert.Equal(127, ran.Code);
        ran.ErrorLine();
    }

    [Fact]
    public void More_memory_than_any_host_has()
    {
        Ran ran = Cli.Run("run", "--serial", "none", "--kernel", Guest, "--memory", "4000000G");
        Assert.Contains(ran.Code, new[] { 125, 127 });
        ran.ErrorLine();
    }

    private static void Fails(string where, params string[] flags)
    {
        string[] before = Directory.GetFileSystemEntries(Cli.Scratch);
        Ran ran = Cli.Run(["run", "--serial", "none", .. flags]);
        Assert.Equal(126, ran.Code);
        Assert.Contains(where, ran.ErrorLine(), StringComparison.Ordinal);
        Assert.Empty(ran.Out);
        Assert.Equal(before, Directory.GetFileSystemEntries(Cli.Scratch));
    }

    private static string RandomFile(string name, int length)
    {
        byte[] bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        string path = Path.Combine(Cli.Scratch, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    private static string Sparse(string name, long length)
    {
        string path = Path.Combine(Cli.Scratch, name);
        using FileStream file = File.Create(path);
        file.SetLength(length);
        return path;
    }
}

/// <summary>A test that makes a loop device.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LoopFactAttribute : FactAttribute
{
    public LoopFactAttribute() => Skip = Cli.Shell("losetup -f").Code != 0 ? "this machine has no loop devices" : null;
}
