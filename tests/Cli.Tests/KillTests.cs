using System.Diagnostics;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>Row R1: the program is killed at any moment, and nothing of it stays.</summary>
public sealed class KillTests
{
    private static readonly int Kills = Effort.Of(quick: 60, full: 500);

    [KvmFact]
    public void R1_killed_at_random_moments_it_leaves_nothing_behind()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        string folder = Directory.CreateDirectory(Path.Combine(Cli.Scratch, "killed")).FullName;
        string temporary = Directory.CreateDirectory(Path.Combine(folder, "tmp")).FullName;
        string socket = Path.Combine(folder, "vsock"), disk = Path.Combine(folder, "disk.img");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        string[] machine = ["run", "--kernel", Guests.Path("loop"), "--serial", "none", "--disk", $"path={disk}", "--vsock", $"cid=9,socket={socket}"];
        for (int i = 0; i < Kills; i++)
        {
            string signal = ((string[])["KILL", "TERM", "HUP"])[random.Next(3)];
            int code = Kill(machine, temporary, signal, TimeSpan.FromMilliseconds(random.NextDouble() * 30));
            int expected = signal switch { "KILL" => 137, "TERM" => 143, _ => 129 };
            Assert.True(code == expected, $"seed {seed}, kill {i}: SIG{signal} gave {code}");
            // After SIGKILL the socket's name is left, as it must be; the next machine takes it over.
            Assert.Empty(Directory.GetFileSystemEntries(temporary));
        }
        Assert.Equal(42, Cli.Run([.. machine[..2], Guests.Path("onepage"), .. machine[3..]]).Code);
        Assert.False(File.Exists(socket), "a machine that ends takes its socket away");
        Assert.Empty(Running(folder));
    }

    // The code is the shell's: 128 and the signal's number also where the signal came before there was a handler.
    private static int Kill(string[] machine, string temporary, string signal, TimeSpan after)
    {
        ProcessStartInfo start = new("/bin/sh", ["-c", "\"$0\" \"$@\" & vmm=$!; echo $vmm; wait $vmm", Cli.Program, .. machine]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["TMPDIR"] = temporary;
        using Process shell = Process.Start(start)!;
        int vmm = int.Parse(shell.StandardOutput.ReadLine()!, System.Globalization.CultureInfo.InvariantCulture);
        long began = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(began) < after) Thread.SpinWait(200);
        using Process kill = Process.Start("/bin/kill", [$"-{signal}", $"{vmm}"]);
        Assert.True(shell.WaitForExit(TimeSpan.FromSeconds(20)), $"SIG{signal} after {after.TotalMilliseconds:f2} ms did not end it");
        return shell.ExitCode;
    }

    private static string[] Running(string folder) =>
        [.. Directory.GetDirectories("/proc").Where(p => int.TryParse(Path.GetFileName(p), out _) && CommandLine(p).Contains(folder, StringComparison.Ordinal))];

    private static string CommandLine(string process)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "cmdline"));
        }
        catch (IOException)
        {
            return "";
        }
    }
}
