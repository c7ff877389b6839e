using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.VhostUser;

/// <summary>A backend did not do what the protocol says, or is gone. Its message continues "the backend ...".</summary>
internal sealed class BackendException(string what) : Exception(what);

/// <summary>One connection to a backend: messages and their answers, each checked, all within a time. The backend is another program and trusted with guest memory, not with this process.</summary>
/// <remarks>One thread at a time. After a <see cref="BackendException"/> the connection is good for nothing but <see cref="Dispose"/>.</remarks>
internal sealed class BackendLink(int fd) : IDisposable
{
    private const int MaxMessage = 512;

    private long _deadline = long.MaxValue;

    /// <summary>The socket; -1 once closed.</summary>
    internal int Fd { get; private set; } = fd;

    /// <summary>Agreed on: the backend answers every message.</summary>
    internal bool Acknowledges { get; set; }

    /// <summary>Gives everything that follows, until the next call, this much time together.</summary>
    internal void Allow(int milliseconds) => _deadline = Environment.TickCount64 + milliseconds;

    /// <summary>Sends what has no answer of its own, and waits for the acknowledgement where there are some.</summary>
    internal void Tell(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<int> files)
    {
        Send(request, payload, files, Acknowledges);
        if (!Acknowledges) return;
        ulong result = Answer<ulong>(request);
        if (result != 0) throw new BackendException($"refuses {request} ({result})");
    }

    /// <inheritdoc cref="Tell(VhostUserRequest, ReadOnlySpan{byte}, ReadOnlySpan{int})"/>
    internal void Tell<T>(VhostUserRequest request, in T payload, params ReadOnlySpan<int> files) where T : unmanaged =>
        Tell(request, Bytes(in payload), files);

    /// <summary>Sends a question and takes its answer.</summary>
    internal T Ask<T>(VhostUserRequest request, ReadOnlySpan<byte> payload = default) where T : unmanaged
    {
        Send(request, payload, [], false);
        return Answer<T>(request);
    }

    /// <summary>Sends a question whose answer comes with at most one file, which is then the caller's; -1 if none came.</summary>
    internal T AskForFile<T>(VhostUserRequest request, ReadOnlySpan<byte> payload, out int file) where T : unmanaged
    {
        Send(request, payload, [], false);
        T answer = default;
        file = -1;
        ReceiveAnswer(request, MemoryMarshal.AsBytes(new Span<T>(ref answer)), ref file);
        return answer;
    }

    /// <summary>Sends a question and fills <paramref name="answer"/>; the backend must answer with as many bytes.</summary>
    internal void Ask(VhostUserRequest request, ReadOnlySpan<byte> payload, Span<byte> answer)
    {
        Send(request, payload, [], false);
        int none = Unwanted;
        ReceiveAnswer(request, answer, ref none);
    }

    /// <summary>For when the socket is readable and nothing was asked: says what that means.</summary>
    internal BackendException Unexpected()
    {
        Span<byte> some = stackalloc byte[64];
        Span<int> files = stackalloc int[SocketFiles.Max];
        int n = SocketFiles.Receive(Fd, some, files, out int count);
        CloseAll(files[..count]);
        return new BackendException(n > 0 ? "says what nobody asked for" : Gone);
    }

    public void Dispose()
    {
        if (Fd >= 0) HostSocket.Close(Fd);
        Fd = -1;
    }

    internal static ReadOnlySpan<byte> Bytes<T>(in T value) where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value));

    /// <summary>What a backend did that ended, or wants no more.</summary>
    internal const string Gone = "closed the connection";

    private const int Unwanted = -2;

    private T Answer<T>(VhostUserRequest request) where T : unmanaged
    {
        T answer = default;
        int none = Unwanted;
        ReceiveAnswer(request, MemoryMarshal.AsBytes(new Span<T>(ref answer)), ref none);
        return answer;
    }

    private void Send(VhostUserRequest request, ReadOnlySpan<byte> payload, ReadOnlySpan<int> files, bool needReply)
    {
        Span<byte> message = stackalloc byte[MaxMessage];
        VhostUserHeader header = new() { Request = (uint)request, Flags = (uint)(VhostUserConst.Version | (needReply ? VhostUserConst.NeedReply : 0)), Size = (uint)payload.Length };
        MemoryMarshal.Write(message, in header);
        payload.CopyTo(message[Unsafe.SizeOf<VhostUserHeader>()..]);
        message = message[..(Unsafe.SizeOf<VhostUserHeader>() + payload.Length)];
        while (!message.IsEmpty)
        {
            int n = SocketFiles.Send(Fd, message, files);
            if (n > 0)
            {
                message = message[n..];
                files = [];
            }
            else if (n == -Libc.EAGAIN) Wait(Libc.EPOLLOUT, request);
            else throw new BackendException(n is -Libc.EPIPE or -Libc.ECONNRESET ? Gone : $"cannot be told {request}: {Libc.Describe(-n)}");
        }
    }

    private void ReceiveAnswer(VhostUserRequest request, Span<byte> payload, ref int file)
    {
        VhostUserHeader header = default;
        Receive(request, MemoryMarshal.AsBytes(new Span<VhostUserHeader>(ref header)), ref file);
        if (header.Request != (uint)request || (header.Flags & (uint)(VhostUserConst.VersionMask | VhostUserConst.Reply)) != (uint)(VhostUserConst.Version | VhostUserConst.Reply))
        {
            throw Rejected(ref file, $"answers {request} with something else (request {header.Request}, flags 0x{header.Flags:x})");
        }
        if (header.Size != payload.Length) throw Rejected(ref file, $"answers {request} with {header.Size} bytes, not {payload.Length}");
        Receive(request, payload, ref file);
    }

    private void Receive(VhostUserRequest request, Span<byte> bytes, ref int file)
    {
        Span<int> files = stackalloc int[SocketFiles.Max];
        while (!bytes.IsEmpty)
        {
            int n = SocketFiles.Receive(Fd, bytes, files, out int count);
            if (count > 0 && file == -1) (file, files[0]) = (files[0], -1);
            CloseAll(files[..count]);
            if (n > 0) bytes = bytes[n..];
            else if (n == -Libc.EAGAIN) Wait(Libc.EPOLLIN, request, ref file);
            else throw Rejected(ref file, n is 0 or -Libc.ECONNRESET ? Gone : $"cannot be heard: {Libc.Describe(-n)}");
        }
    }

    private void Wait(uint events, VhostUserRequest request)
    {
        int none = Unwanted;
        Wait(events, request, ref none);
    }

    private void Wait(uint events, VhostUserRequest request, ref int file)
    {
        long left = _deadline - Environment.TickCount64;
        if (left <= 0) throw Rejected(ref file, $"does not answer {request}");
        _ = HostIo.Wait(Fd, events, (int)Math.Min(left, int.MaxValue));
    }

    private static BackendException Rejected(ref int file, string what)
    {
        if (file >= 0) HostSocket.Close(file);
        file = -1;
        return new BackendException(what);
    }

    private static void CloseAll(ReadOnlySpan<int> files)
    {
        foreach (int file in files)
        {
            if (file >= 0) HostSocket.Close(file);
        }
    }
}
