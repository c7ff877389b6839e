using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>How large the program is, on disk and in memory: counts, which grow by themselves if nobody looks.</summary>
public class SizeTests
{
    // What is the process's own, and with it what is mapped of the binary: the kernel maps as much of that as it has at hand.
    private const long MaxBinaryBytes = 5_000_000, MaxOwnKiB = 4 << 10, MaxResidentKiB = 7 << 10, GuestKiB = 128 << 10;

    [Fact]
    public void The_binary_is_under_five_million_bytes() => Assert.InRange(new FileInfo(Cli.Program).Length, 1_000_000, MaxBinaryBytes);

    [KvmFact]
    public void Beside_the_guest_s_memory_it_takes_less_than_four_MiB_of_its_own()
    {
        using Process process = Process.Start(Cli.Program, ["run", "--kernel", Guests.Path("halt"), "--memory", $"{GuestKiB}K", "--serial", "none"]);
        try
        {
            // At rest when vCPU 0, which runs on the main thread, has been in the guest for a while.
            Thread.Sleep(1000);
            Assert.False(process.HasExited);
            Assert.InRange(BesideGuest(process.Id, "Anonymous:"), 500, MaxOwnKiB);
            Assert.InRange(BesideGuest(process.Id, "Rss:"), 500, MaxResidentKiB);
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    // The guest's memory is the mappings that are at least as long as it.
    private static long BesideGuest(int pid, string kind)
    {
        long size = 0, resident = 0;
        foreach (string line in File.ReadLines($"/proc/{pid}/smaps"))
        {
            if (line.StartsWith("Size:", StringComparison.Ordinal)) size = KiB(line);
            else if (line.StartsWith(kind, StringComparison.Ordinal) && size < GuestKiB) resident += KiB(line);
        }
        return resident;
    }

    private static long KiB(string line) => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
}
