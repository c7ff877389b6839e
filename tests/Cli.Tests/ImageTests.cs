using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>Kernels, initial RAM disks and disks that cannot be used: code 126, one line, no file left behind. Need KVM, as a machine is begun.</summary>
public class ImageTests
{
    private static readonly string Guest = Guests.Path("onepage.elf");

    [KvmFact]
    public void Missing_kernel() => Fails("No such file", "--kernel", "missing");

    [KvmFact]
    public void Kernel_that_is_a_directory() => Fails(Cli.Scratch, "--kernel", Cli.Scratch);

    [KvmFact]
    public void Empty_kernel() => Fails("empty", "--kernel", Cli.File("empty", ""));

    [KvmFact]
    public void Random_kernel() => Fails("random", "--kernel", RandomFile("random", 100_000));

    [KvmFact]
    public void Truncated_kernel()
    {
        byte[] whole = File.ReadAllBytes(Guest);
        string path = Path.Combine(Cli.Scratch, "truncated");
        File.WriteAllBytes(path, whole[..80]);
        Fails("truncated", "--kernel", path);
    }

    [KvmFact]
    public void Oversized_kernel() => Fails("sparse", "--kernel", Sparse("sparse", 8L << 30));

    [KvmFact]
    public void Kernel_that_is_a_fifo()
    {
        string path = Path.Combine(Cli.Scratch, "fifo");
        Assert.Equal(0, Cli.Shell("rm -f \"$1\"; mkfifo \"$1\"", path).Code);
        Fails("fifo", "--kernel", path);
    }

    [KvmFact]
    public void Missing_initrd() => Fails("missing", "--kernel", Guest, "--initrd", "missing");

    [KvmFact]
    public void Initrd_larger_than_memory() => Fails("huge-initrd", "--kernel", Guest, "--memory", "64M", "--initrd", Sparse("huge-initrd", 128L << 20));

    [KvmFact]
    public void Missing_disk() => Fails("missing.img", "--kernel", Guest, "--disk", "path=missing.img");

    [KvmFact]
    public void Disk_that_is_a_directory() => Fails(Cli.Scratch, "--kernel", Guest, "--disk", $"path={Cli.Scratch}");

    [KvmFact]
    public void Command_line_that_is_too_long()
    {
        Ran ran = Cli.Run("run", "--serial", "none", "--kernel", Guest, "--cmdline", new string('x', 5000));
        Assert.Equal(127, ran.Code);
        ran.ErrorLine();
    }

    [KvmFact]
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
