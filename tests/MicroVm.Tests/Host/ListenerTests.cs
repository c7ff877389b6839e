using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Host;

/// <summary>Sockets in the file system: whose they are, and that one machine has each.</summary>
public sealed class ListenerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-listen-").FullName;

    private string Socket => Path.Combine(_folder, "s");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void It_takes_its_socket_with_it_and_not_another_s()
    {
        using (HostListener.TryListen(Socket, out int none))
        {
            Assert.Equal(0, none);
            Assert.True(File.Exists(Socket));
        }
        Assert.False(File.Exists(Socket));

        HostListener first = HostListener.TryListen(Socket, out _)!;
        File.Delete(Socket);
        using HostListener second = HostListener.TryListen(Socket, out _)!;
        first.Dispose();
        Assert.True(File.Exists(Socket));
        int client = HostSocket.Connect(Socket);
        Assert.True(client >= 0);
        HostSocket.Close(client);
    }

    // A socket that a killed machine left behind, and many starts that find it at once.
    [Fact]
    public void One_of_many_takes_over_what_was_left()
    {
        for (int round = 0; round < 50; round++)
        {
            HostSocket.Close(HostSocket.Listen(Socket));
            List<HostListener> won = [];
            Thread[] starts = [.. Enumerable.Range(0, 8).Select(_ => new Thread(() =>
            {
                HostListener? listener = HostListener.TryListen(Socket, out int error);
                lock (won)
                {
                    if (listener is not null) won.Add(listener);
                    else Assert.Equal(Libc.EADDRINUSE, error);
                }
            }))];
            foreach (Thread start in starts) start.Start();
            foreach (Thread start in starts) start.Join();
            using HostListener winner = Assert.Single(won);
            int client = HostSocket.Connect(Socket);
            Assert.True(client >= 0);
            HostSocket.Close(client);
        }
    }
}
